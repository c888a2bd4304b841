"""Shows a difference in the format of tests/transcripts, with redis-server's replies, so
that it can be kept as one, and behind it what respd answered."""
import itertools

import record
from play import Died
from rounds import Id


def name(client):
    return "abcdefgh"[client]


def quoted(words):
    shown = []
    for word in words:
        if isinstance(word, Id):
            shown.append("{id%s}" % name(word.client))
            continue
        text = record.escape(word).replace('"', '\\"').replace("{", "\\x7b")
        shown.append(f'"{text}"' if not text or " " in text or word.endswith(b" ") else text)
    return " ".join(shown)


def reply(frame):
    if frame and frame[2] and frame[2][0][1] == b"server":
        return ["~ " + frame[0].decode(), "~ ..."]  # of a HELLO, which has ids and versions
    return ["  " + line for line in record.render(frame, 0, False)] if frame else ["  (nothing)"]


def prompt(client):
    return "" if client == 0 else name(client)


def conversation(trace):
    """Lines for what was sent and read. Calls that were sent together are shown each with
    its reply, as far as these follow in the same order."""
    lines, at = [], 0
    trace = [event for event in trace if drawn(event)]
    while at < len(trace):
        kind, client, what = trace[at]
        if kind == "<":
            lines += [f"{name(client)}<", *reply(what[1])]
            at += 1
            continue
        sent = [event[2] for event in itertools.takewhile(lambda event: event[:2] == (">", client), trace[at:])]
        at += len(sent)
        for place, call in enumerate(sent):
            if at < len(trace) and trace[at][:2] == ("<", client) and trace[at][2][0] is call:
                lines += [f"{prompt(client)}> {quoted(call.words)}", *reply(trace[at][2][1])]
                at += 1
            else:
                lines += [f"{name(client)}>> {quoted(later.words)}" for later in sent[place:]]
                break
    return lines


def drawn(event):
    """Whether it belongs to the round, and not to what ends each."""
    sent = event[2] if event[0] == ">" else event[2][0]
    return sent is None or sent.drawn


def render(players, round, difference):
    try:
        players.play(round)
    except Died:
        pass
    lines = [f'@config {setting} "{value}"' for setting, value in round.settings.items()]
    words = [word for step in round.steps for call in step.calls for word in call]
    if any(call[:1] == [b"DEBUG"] for step in round.steps for call in step.calls) or difference.client is None:
        lines.append("@config enable-debug-command yes")
    for client in sorted({word.client for word in words if isinstance(word, Id)}):
        lines += [f"{prompt(client)}> CLIENT ID", f"~ :<int:id{name(client)}>"]
    lines += conversation(players.theirs.trace)
    if difference.died:
        return "\n".join(lines + [f"# {difference.died}"])
    if difference.client is None:
        at_end = prompt(len(round.clients))
        lines += [f"{at_end}> SELECT {difference.database}", "  +OK"] if difference.database else []
        lines += [f"{at_end}> {quoted(difference.call.words)}", *reply(difference.theirs)]
    return "\n".join(lines + said(difference))


def once(difference):
    """What there is to say of a difference that did not come again: what both said last."""
    lines = said(difference) if not difference.died else [f"# {difference.died}"]
    for server, trace in zip(("redis-server", "respd"), difference.traces):
        lines += [f"# the last of it, on {server}:", *("# " + line for line in conversation(trace)[-20:])]
    return "\n".join(lines)


def said(difference):
    """What both answered, as comments."""
    about = quoted(difference.call.words) if difference.call else f"what {name(difference.client)} is told"
    shown = [f"respd differs in {about}: redis-server has", *reply(difference.theirs), "and respd", *reply(difference.ours)]
    return ["# " + line for line in shown]
