from service.check_finding import bad, ok, warn


def test_a_line_begins_with_its_level_and_ends_with_what_to_do() -> None:
    assert str(ok("all is well")) == "ok    all is well"
    assert str(warn("odd", "look")) == "warn  odd - look"


def test_a_finding_is_one_line_whatever_is_in_it() -> None:
    assert str(bad("a\nb\x1b", "c")) == "bad   a?b? - c"
