"""Brokers come and go with who has asked for them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
import pytest_respd


def wait_for_end(connection):
    """Returns when the other side has closed it, which may not have got to accept it."""
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def test_a_broker_of_ones_own_has_its_flags():
    with pytest_respd.spawn("--requirepass", "se/cret", "--databases", "2") as broker:
        assert broker.client().config_get("databases") == {"databases": "2"}
        broker.clock.freeze()
        assert broker.clock.is_frozen()
        connection = socket.create_connection((broker.host, broker.port), 60)
    wait_for_end(connection)
    connection.close()


def test_what_cannot_be_started_says_what_to_do(monkeypatch):
    with pytest.raises(pytest_respd.RespdError, match="has ended with status 1; what it wrote says why"):
        with pytest_respd.spawn("--databases", "many"):
            pass
    monkeypatch.setenv("RESPD_BIN", "/nowhere/respd")
    text = r"^/nowhere/respd cannot be started \(No such file or directory\): set RESPD_BIN to where .* PATH$"
    with pytest.raises(pytest_respd.RespdError, match=text):
        with pytest_respd.spawn():
            pass


def test_it_ends_with_a_process_that_is_killed():
    program = "import pytest_respd as p\nwith p.spawn() as b: print(b.port, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            process.kill()
            wait_for_end(connection)


def test_who_presses_ctrl_c_sees_the_summary_of_pytest(tmp_path):
    test = tmp_path / "test_long.py"
    test.write_text("def test_long(respd):\n print('running', flush=True)\n respd.until.exists('key', within=60)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)]
    # A terminal sends the signal to all that runs in it.
    terminal = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **terminal) as process:
        assert process.stdout.readline() == "running\n"
        os.killpg(process.pid, signal.SIGINT)
        shown = process.stdout.read()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, shown
    assert "no tests ran" in shown and "Connection" not in shown, shown


def test_a_connection_that_was_closed_meanwhile_is_replaced(respd):
    respd.clock.freeze()
    respd.client().client_kill_filter(_type="normal", skipme=True)
    assert respd.clock.is_frozen()


def test_spaces_know_nothing_of_each_other(respd, respd_broker):
    with respd_broker.space() as other:
        assert {respd.port, other.port} <= {space["port"] for space in respd_broker.spaces()}
        respd.client().set("key", "mine")
        other.clock.freeze()
        assert other.client().get("key") is None
        assert not respd.clock.is_frozen()
    assert other.port not in {space["port"] for space in respd_broker.spaces()}


def test_a_broker_goes_and_comes_back(respd):
    respd.clock.freeze()
    cut = socket.create_connection((respd.host, respd.port), 60)
    respd.client().set("key", 1)
    respd.restart(after=3600)
    wait_for_end(cut)
    cut.close()
    assert respd.client().get("key") == "1"
    respd.restart(keep=False)
    assert respd.client().get("key") is None
    assert respd.clock.is_frozen()
