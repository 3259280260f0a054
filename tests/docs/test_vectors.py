from bench.vectors import PAGE, page


def test_the_page_is_what_the_code_makes():
    assert PAGE.read_text() == page(), "a format changed: `make vectors` writes the page anew"
