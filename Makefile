# SPDX-License-Identifier: Apache-2.0
# Aliases; what they do is in xtask/, interop/ and bench/.
.PHONY: demo-start demo-stop demo-dashboard demo-load release test interop soak web bench

demo-start: ## builds, starts foreglow, three services and load on them, prints the page's address
	@cargo xtask demo start

demo-stop: ## stops exactly what demo-start started
	@cargo xtask demo stop

demo-dashboard: ## opens the page of the running demo
	@cargo xtask demo dashboard

demo-load: ## half a minute of more load on the running demo, with its report
	@cargo xtask demo load

release: ## the binary for users: with blocks in S3, which the demo does not wait for
	@cargo xtask web
	cargo build --release --package foreglow --features s3

test: ## everything that runs without other programs
	cargo test --workspace
	cargo xtask web-test

interop: ## against real peers, fetched on first use
	@cargo xtask web
	cargo build --release --package foreglow
	python3 interop/run.py

soak: ## what the tests do a few times, many times
	FOREGLOW_CRASH_ROUNDS=1000 cargo test --release --package foreglow --test it -- --nocapture crash
	FOREGLOW_CRASH_ROUNDS=100 cargo test --release --package foreglow --test it -- --nocapture queue::what
	FOREGLOW_RELOAD_SECONDS=300 cargo test --release --package foreglow --test it -- --nocapture reloads_under_load

web: ## builds the dashboard that the binary embeds
	@cargo xtask web

bench: ## whole processes beside their peers, same input
	cargo build --release --package foreglow --package bench
	mkdir -p bench/results
	cargo run --release --package bench -- collectors --out bench/results/collectors-$$(date +%F).json
	cargo run --release --package bench -- overload --out bench/results/overload-$$(date +%F).json
	cargo run --release --package bench -- offer --out bench/results/load-$$(date +%F).json
	cargo run --release --package bench -- stack
	cargo run --release --package bench -- demo --out bench/results/demo-$$(date +%F).json
	cargo run --release --package bench -- store --out bench/results/store-$$(date +%F).json
	cargo run --release --package bench -- growth --out bench/results/growth-$$(date +%F).json
	cargo run --release --package bench -- month --out bench/results/month-$$(date +%F).json
