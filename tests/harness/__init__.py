"""How all tests are run: which suites there are, what each needs, and what came of them together."""
