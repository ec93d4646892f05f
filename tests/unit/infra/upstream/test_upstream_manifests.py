import pytest

from infra.upstream.manifests import ManifestError, parse, values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("=", "="),
        ("1:30", "1:30"),
        ("2026-11-29", "2026-11-29"),
        ("0644", 420),
        ("0o644", 420),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("-7", -7),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'on'", "on"),
        ('"1"', "1"),
        ("y", "y"),
        (".inf", ".inf"),
    ],
)
def test_a_scalar_is_read_as_go_programs_read_it(text, value):
    [found] = values(f"key: {text}\n", "x.yaml")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


@pytest.mark.parametrize("word", ["on", "Off", "YES", "no"])
def test_a_bare_word_of_two_meanings_is_refused(word):
    with pytest.raises(ManifestError, match=r"x\.yaml:2: '\w+' is true or false"):
        list(values(f"a: 1\nkey: {word}\n", "x.yaml"))


def test_a_duplicate_key_is_refused_with_its_line():
    with pytest.raises(ManifestError, match=r"x\.yaml:3: duplicate key 'a'"):
        list(values("a: 1\nb: 2\na: 3\n", "x.yaml"))


def test_lists_are_expanded_and_empty_documents_left_out():
    text = (
        "---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\n"
    )
    assert [each["kind"] for each in parse(text, "x.yaml")] == ["ConfigMap", "Secret"]


@pytest.mark.parametrize("text", ["just text", "- a\n- b\n", "kind: Pod\n", "{"])
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(ManifestError, match=r"^x\.yaml"):
        parse(text, "x.yaml")


def test_blocks_stay_text():
    [found] = values("key: |\n  on: yes\nother: >-\n  true\n", "x.yaml")
    assert found == {"key": "on: yes\n", "other": "true"}
