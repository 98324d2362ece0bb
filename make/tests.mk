# Tests and checks. `make test` is the one command: it needs nothing that it does not set up itself.
TOOLS := PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(CURDIR)/infrastructure/dev:$(CURDIR)/tests
HOSTTOOLS := $(TOOLS) python3 -m stack.hosttools
HARNESS = eval "$$($(HOSTTOOLS) env)" && $(TOOLS) $$ODOO_PYTHON -m harness

.PHONY: test test-unit test-e2e test-long lint lock

test-unit: ## test engines and addons on this machine, without a cluster (ONE=loomworks_tenant ARGS='-k name')
	@$(HOSTTOOLS) up
	@$(HARNESS) $(or $(ONE),unit) $(ARGS)
