import ast
from textwrap import dedent

import pytest
from mutation.mutants import Mutant, mutants


def mutants_of(source: str) -> list[Mutant]:
    return list(mutants(ast.parse(dedent(source)), "module"))


def changes(statement: str) -> set[str]:
    """What a statement of a function becomes; a second statement follows it."""
    source = f"def function():\n    {statement}\n    last\n"
    return {mutant.after for mutant in mutants_of(source)}


class TestOperators:
    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("x = a < b", {"x = a <= b"}),
            ("x = a >= b", {"x = a > b"}),
            ("x = a == b", {"x = a != b"}),
            ("x = a is not b", {"x = a is b"}),
            ("x = a in b", {"x = a not in b"}),
            ("x = a < b < c", {"x = a <= b < c", "x = a < b <= c"}),
            ("x = a + b", {"x = a - b"}),
            ("x = a / b", {"x = a * b"}),
            ("x = -a", {"x = a"}),
            ("x = not a", {"x = a"}),
            ("x = 5", {"x = 6"}),
            ("x = 0.0", {"x = 1.0"}),
            ("x = True", {"x = False"}),
            ("x = math.inf", {"x = 0.0"}),
            ("x = a and b", {"x = a or b", "x = a", "x = b"}),
            ("x = a or b or c", {"x = a and b and c", "x = a or b", "x = a or c", "x = b or c"}),
            ("x = a if b else c", {"x = a", "x = c"}),
            ("x = min(a, b)", {"x = max(a, b)", "x = a", "x = b"}),
            ("x = max(a, key=b)", {"x = min(a, key=b)"}),
            ("x = max(*a, b)", {"x = min(*a, b)", "x = max(*a)", "x = b"}),
            ("x = any(a)", {"x = all(a)"}),
            ("x = list(a)", {"x = a"}),
            ("x = [a for a in b if a.c]", {"x = [a for a in b]"}),
            ("x = isinstance(a, B | C)", {"x = isinstance(a, B)", "x = isinstance(a, C)"}),
            ("x = lambda: a + b", {"x = lambda: a - b"}),
        ],
    )
    def test_change_an_expression(self, statement: str, expected: set[str]) -> None:
        """An expression becomes its opposite, a part of it, or the next value."""
        assert changes(statement) == expected

    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("a.call(b)", {"pass"}),
            ("await a.call(b)", {"pass"}),
            ("a.x = b", {"pass"}),
            ("a[x] = b", {"pass"}),
            ("a.x: int = b", {"pass"}),
            ("a.x, a.y = b, c", {"a.x = b", "a.y = c"}),
            ("x, a.x = a.x, b", {"x = a.x"}),
            ("a.x = a.y = b", {"pass", "a.x = b", "a.y = b"}),
            ("a.x += b", {"pass", "a.x -= b"}),
            ("a.x = max(a.x, b)", {"pass", "a.x = min(a.x, b)", "a.x = b"}),
            ("del a[x]", {"pass"}),
            ("raise a", {"pass"}),
            ("return", {"pass"}),
            ("if a: x", {"if True:", "if False:"}),
            ("while a: x", {"while True:", "while False:"}),
        ],
    )
    def test_change_a_statement(self, statement: str, expected: set[str]) -> None:
        """A statement is removed, a part of its assignments is, or its condition is forced."""
        assert changes(statement) == expected

    @pytest.mark.parametrize("jump", ["continue", "break", "return a"])
    def test_remove_a_jump(self, jump: str) -> None:
        """Also within a loop, a handler of an exception or a case."""
        source = f"""\
        def function():
            for a in b:
                try:
                    x
                except A:
                    {jump}
                match a:
                    case 1:
                        {jump}
        """
        assert [(m.before, m.after, m.nth) for m in mutants_of(source)] == [
            (jump, "pass", 1),
            (jump, "pass", 2),
        ]

    @pytest.mark.parametrize(
        "statement",
        [
            '"""The text 5."""',
            'x = f"{a + 1:.0f}"',
            'x = "text"',
            "x: A | B = a",
            "yield a",
            "x = a",
            "import a",
        ],
    )
    def test_leave_text_and_annotations_alone(self, statement: str) -> None:
        """Nor do they remove what would only be a NameError afterwards."""
        assert changes(statement) == set()


class TestMutants:
    def test_leave_the_tree_as_it_was(self) -> None:
        """A tree can be used for the next mutant as long as none was applied."""
        tree = ast.parse("def f(a=1):\n    if a < 2 and a:\n        g(min(a, 3))\n    return -a")
        before = ast.dump(tree)

        assert list(mutants(tree, "module"))
        assert ast.dump(tree) == before

    def test_are_applied(self) -> None:
        """Each changes what the module does, and is what its text says."""
        source = "def f(a):\n    return a < 2 or a == 5"
        results = {}
        for index, named in enumerate(mutants_of(source)):
            tree = ast.parse(source)
            list(mutants(tree, "module"))[index].apply()
            namespace: dict[str, object] = {}
            exec(compile(tree, "module", "exec"), namespace)
            function = namespace["f"]
            assert callable(function)
            results[named.after] = [number for number in range(8) if function(number)]

        assert results == {
            "pass": [],
            "return a < 2 and a == 5": [],
            "return a == 5": [5],
            "return a < 2": [0, 1],
            "return a <= 2 or a == 5": [0, 1, 2, 5],
            "return a < 3 or a == 5": [0, 1, 2, 5],
            "return a < 2 or a != 5": [0, 1, 2, 3, 4, 6, 7],
            "return a < 2 or a == 6": [0, 1, 6],
        }

    def test_are_named_by_their_function(self) -> None:
        """The name has the module, the classes and the functions; decorators and protocols are skipped."""
        source = """\
        LIMIT = 1

        class P(Protocol):
            x = 1

        @define(eq=False)
        class A:
            x: int = 2

            @decorated(1)
            def f(self, a=3):
                def g():
                    return 4
        """
        assert [(m.function, m.before, m.after) for m in mutants_of(source)] == [
            ("module", "LIMIT = 1", "LIMIT = 2"),
            ("module.A", "x: int = 2", "x: int = 3"),
            ("module.A", "def f(self, a=3):", "def f(self, a=4):"),
            ("module.A.f.g", "return 4", "pass"),
            ("module.A.f.g", "return 4", "return 5"),
        ]

    def test_keep_a_last_return_of_none(self) -> None:
        """A function without it returns the same; after a condition it is a different matter."""
        source = """\
        def f():
            if a:
                return None
            return None
        """
        assert [(m.before, m.after) for m in mutants_of(source)] == [
            ("if a:", "if True:"),
            ("if a:", "if False:"),
            ("return None", "pass"),
        ]

    def test_know_their_lines(self) -> None:
        """Those of the statement without its blocks, or none if the statement runs on import."""
        source = """\
        LIMIT = 1
        def f(a=1):
            if (a <
                    b):
                g(
                    a)
        """
        lines = {mutant.after: set(mutant.lines) for mutant in mutants_of(source)}

        assert lines == {
            "LIMIT = 2": set(),
            "def f(a=2):": set(),
            "if a <= b:": {3, 4},
            "if True:": {3, 4},
            "if False:": {3, 4},
            "pass": {5, 6},
        }
