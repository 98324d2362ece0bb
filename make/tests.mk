# Tests and checks. `make test` is the one command: it needs nothing that it does not set up itself.
TOOLS := PYTHONPYCACHEPREFIX=$(CURDIR)/build/pycache PYTHONPATH=$(CURDIR)/infrastructure/dev:$(CURDIR)/tests
HOSTTOOLS := $(TOOLS) python3 -m stack.hosttools
WITH_TOOLS = eval "$$($(HOSTTOOLS) env)" && $(TOOLS) $$ODOO_PYTHON
WITH_STACK = . $${LOOMWORKS_STATE:-build/dev}/env && $(TOOLS) $$ODOO_PYTHON

.PHONY: test test-unit test-e2e test-long lint lock

test: up browser ## run every test, bringing up what they need
	@$(WITH_STACK) -m harness all

test-unit: ## test engines and addons on this machine, without a cluster (ONE=loomworks_tenant ARGS='-k name')
	@$(HOSTTOOLS) up
	@$(WITH_TOOLS) -m harness $(or $(ONE),unit) $(ARGS)

test-e2e: up browser ## test the running stack: manifests, end to end, in a browser (ONE=tests/e2e ARGS='-k name')
	@$(WITH_STACK) -m harness $(or $(ONE),e2e) $(ARGS)

test-long: up browser ## run the tests that take longer than a developer waits
	@$(WITH_STACK) -m harness long $(ARGS)

lint: ## run every checker: Python, Odoo's idiom, Dockerfiles, shell, alerts, manifests, the import contract
	@$(HOSTTOOLS) up
	@$(WITH_TOOLS) -m harness.lint

lock: ## resolve requirements-*.in anew into requirements-*.lock
	@$(HOSTTOOLS) lock

.PHONY: browser
browser:
	@$(HOSTTOOLS) browser
