"""The test suite itself."""

import ast
from collections import defaultdict
from pathlib import Path

PROVIDERS = Path(__file__).parent / "providers"


def test_no_test_of_one_provider_has_the_name_of_another_providers() -> None:
    """Behaviour that several providers share is tested once, in the conformance suite."""
    providers: dict[str, set[str]] = defaultdict(set)
    for path in PROVIDERS.glob("*/**/test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                providers[node.name].add(path.relative_to(PROVIDERS).parts[0])
    assert len(providers) > 100
    assert {name: found for name, found in providers.items() if len(found) > 1} == {}
