"""What is measured starts from bytecode."""

from importlib.util import cache_from_source

from bench import bytecode


def test_every_module_of_the_programs_has_its_bytecode(tmp_path):
    for name in bytecode.PROGRAMS:
        (tmp_path / name / "room").mkdir(parents=True)
        (tmp_path / name / "room" / "module.py").write_text("x = 1\n")
    bytecode.compile_ours(tmp_path)
    for name in bytecode.PROGRAMS:
        assert (tmp_path / cache_from_source(f"{name}/room/module.py")).is_file()


def test_the_programs_are_there():
    for name in bytecode.PROGRAMS:
        assert (bytecode.ROOT / name / "__init__.py").is_file()
