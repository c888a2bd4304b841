"""What a program asserts. `done`, at the end, prints how many there were."""
import asyncio
import time

asserted = 0


def same(got, expected):
    global asserted
    assert got == expected, f"{got!r} where {expected!r} was expected"
    asserted += 1


def raises(kind, call):
    """What `call` raised, which must be a `kind`."""
    global asserted
    try:
        got = call()
    except kind as error:
        asserted += 1
        return error
    raise AssertionError(f"{got!r} where {kind.__name__} was expected")


def until(what, holds, seconds=60):
    """Asks again until it holds; what it answered then."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)
    return answer


async def raises_async(kind, call):
    """As `raises`, of what is awaited."""
    global asserted
    try:
        got = await call()
    except kind as error:
        asserted += 1
        return error
    raise AssertionError(f"{got!r} where {kind.__name__} was expected")


async def until_async(what, holds, seconds=60):
    """As `until`, of what is awaited, while other tasks go on."""
    deadline = time.monotonic() + seconds
    while not (answer := await holds()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)
    return answer


def done():
    print(f"{asserted} results as expected")
