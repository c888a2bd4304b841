"""My cache expires after an hour: nobody waits for it."""


def page(cache, path, render):
    """A page, rendered once an hour."""
    cached = cache.get(path)
    if cached is None:
        cached = render(path)
        cache.set(path, cached, ex=3600)
    return cached


def test_a_page_is_rendered_again_after_an_hour(respd):
    rendered = []

    def render(path):
        rendered.append(path)
        return f"<h1>{path}, {len(rendered)}</h1>"

    respd.clock.freeze()
    cache = respd.client()
    assert page(cache, "/", render) == "<h1>/, 1</h1>"
    respd.clock.advance(3599)
    assert page(cache, "/", render) == "<h1>/, 1</h1>"
    respd.clock.advance(1)
    assert page(cache, "/", render) == "<h1>/, 2</h1>"
