"""Small wrongs that the publishing code could hold: one changed expression or one missing statement each.

What belongs here: which wrongs are made. What does not: running them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.mutant import Mutant

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
}
CALLS = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list"}


def mutants(path: Path, source: str) -> Iterator[Mutant]:
    """Every mutant of one file."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    encoded = source.encode()

    def offset(line: int, column: int) -> int:
        return len(encoded[: starts[line - 1] + column].decode())

    def text(node: ast.expr | ast.stmt) -> str:
        return source[slice(*span(node))]

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        return offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)

    def instead(node: ast.expr | ast.stmt, after: str) -> Mutant:
        return Mutant.of(path, source, *span(node), after)

    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                yield instead(node, f"({text(left)} {COMPARISONS[type(operator)]} {text(right)})")
            case ast.BoolOp(op=operator, values=values):
                word = " or " if isinstance(operator, ast.And) else " and "
                yield instead(node, "(" + word.join(f"({text(value)})" for value in values) + ")")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield instead(node, f"bool({text(operand)})")
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
                yield instead(node, f"({text(left)} {OPERATORS[type(operator)]} {text(right)})")
            case ast.Constant(value=bool(value)):
                yield instead(node, str(not value))
            case ast.Constant(value=int(value)):
                yield instead(node, str(value + 1))
            case ast.Call(func=ast.Name(id=name) as called) if name in CALLS:
                yield instead(called, CALLS[name])
            case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield instead(test, f"not ({text(test)})")
            case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign():
                yield instead(node, "pass")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield instead(value, "None")
