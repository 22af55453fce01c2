# Every target works from a fresh clone once ./run-tests or ./demo has made .venv.
PY := .venv/bin
.PHONY: check format lint types imports unit test test-vm bench fuzz

check: lint types imports unit  ## what must be green at every commit

format:
	$(PY)/ruff format .
	$(PY)/ruff check --fix .

lint:
	$(PY)/ruff format --check .
	$(PY)/ruff check .

types:
	$(PY)/mypy

imports:
	$(PY)/lint-imports

unit:
	$(PY)/pytest -q tests/unit tests/property tests/contract tests/scenario tests/fuzz tests/meta -m "not kernel and not e2e and not vm"

test:
	./run-tests

test-vm:
	./run-tests vm

bench:
	./run-tests bench

fuzz:
	./run-tests fuzz
