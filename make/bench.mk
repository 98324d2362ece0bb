# Figures: each a JSON object a line in build/bench, as a ratio to a floor or a peer of the same run. Every run adds its own.
.PHONY: bench-tenant bench-undo bench-capture bench-restore bench-moments bench-storage bench-orphans

bench-tenant: ## time from "create it" to the login page, against a bare script; time and memory of make up (build/bench/tenant.jsonl)
	@eval "$$($(HOSTTOOLS) env)" && $(TOOLS) $$ODOO_PYTHON benchmarks/tenant.py $(ARGS)

bench-undo: ## what the journal costs and what an undo takes, in Odoo and in plain rows (build/bench/undo.jsonl)
	@$(HOSTTOOLS) up
	@$(WITH_TOOLS) benchmarks/undo.py $(ARGS)

bench-capture: ## ways to write down what an UPDATE changes, against the UPDATE alone and a peer's way (build/bench/capture.jsonl)
	@$(HOSTTOOLS) up
	@$(WITH_TOOLS) benchmarks/capture.py $(ARGS)

bench-restore: ## what restoring one tenant takes, against a full restore, --db-include and dump and restore (build/bench/restore.jsonl)
	@$(HOSTTOOLS) up
	@$(WITH_TOOLS) benchmarks/restore.py $(ARGS)

bench-moments: ## how long snapshots and the swap of a restore take on the running stack (build/bench/restore.jsonl)
	@$(WITH_STACK) benchmarks/moments.py $(ARGS)

bench-storage: ## what backing up and restoring files takes, against rclone and restic (build/bench/storage.jsonl)
	@$(HOSTTOOLS) up
	@$(HOSTTOOLS) peers
	@$(WITH_TOOLS) benchmarks/storage.py $(ARGS)

bench-orphans: ## requests and seconds of a sweep for orphans, and of a look at the volumes, with 1,000 tenants (build/bench/orphans.jsonl)
	@$(HOSTTOOLS) up
	@$(WITH_TOOLS) benchmarks/orphans.py $(ARGS)
