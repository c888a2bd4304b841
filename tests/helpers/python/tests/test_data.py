import pytest
from pytest_respd import RespdError


def test_data_are_loaded_exported_and_gone_back_to(respd):
    client = respd.client()
    respd.load({"jobs": {"type": "list", "value": ["one", "two"]}})
    respd.load('{"n": {"type": "string", "value": 1}}')
    assert respd.load_commands('# a comment\nset greeting "hel\\nlo"') == 1
    assert client.get("greeting") == "hel\nlo"
    assert respd.export(match="[gn]*") == 'db 0\n  "greeting" string "hel\\nlo"\n  "n" string "1"\n'
    with respd.snapshot() as before:
        client.lpop("jobs")
        assert before.difference() == '~ db 0 "jobs" list\n    - "one"\n'
        assert [snapshot["id"] for snapshot in respd.snapshots()] == [before.id]
        assert before.roll_back() == 1
        assert before.difference() == ""
    assert respd.snapshots() == []


def test_a_snapshot_that_an_older_one_has_ended_is_none_at_the_end_of_its_block(respd):
    with respd.snapshot() as older:
        with respd.snapshot():
            older.roll_back()
    assert respd.snapshots() == []


def test_what_cannot_be_done_is_an_error_that_says_why(respd):
    with pytest.raises(RespdError, match="^ERR line 2: WRONGTYPE "):
        respd.load_commands("set n 1\nlpush n 2")
    with pytest.raises(RespdError, match="^ERR no such snapshot$"):
        respd.command("ROLLBACK", 7)


def test_text_of_any_kind_and_length_comes_as_it_is(respd):
    client = respd.client(decode_responses=False)
    respd.load_commands(b'set "\\xff\xe2\x82\xac" ' + b"x" * 1_000_000)
    assert client.keys() == [b"\xff\xe2\x82\xac"]
    assert len(respd.export()) > 1_000_000
    assert respd.export(match=b"\xff*").startswith('db 0\n  "\\xff')
