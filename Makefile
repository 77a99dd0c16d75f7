# Every target runs from a fresh clone with Rust and Node.js (or Foundry) installed.

# Where cargo puts what the scripts run.
export HALLMARK_BIN ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/release/hallmark

PROFILES := default ir solc20 solc20-ir

.PHONY: setup build demo test conformance operators exports collection submissions fuzz web matrix analyse coverage snapshot fmt lint bench peers forecasts growth stock docs docs-test clean

setup:
	@script/setup.sh

build:
	cargo build --release

demo: setup
	cargo run --release -- demo

# The release profile throughout, so that dependencies are built once.
test: setup
	cargo test --release
	@set -e; for profile in $(PROFILES); do \
		echo "forge test, profile $$profile"; \
		FOUNDRY_PROFILE=$$profile script/forge test; \
	done
	$(MAKE) web

# packages/hallmark: types, and viem, ethers and cast against the contracts on anvil.
web: setup build
	script/web

# The operator tests of the onnx package (Python, installed below cache/), against docs/operators.md; `operators` writes that
# page's table.
conformance:
	script/conformance
	cargo test --release --test conformance -- --ignored

operators:
	script/conformance
	HALLMARK_UPDATE_GOLDEN=1 cargo test --release --test conformance -- --ignored

# Models trained and exported as scikit-learn, XGBoost, LightGBM, PyTorch and Keras users do, from the file to a proof that a
# contract accepts. Minutes; the libraries are installed below cache/.
exports: setup
	script/exports
	cargo test --release --test exports -- --ignored --nocapture

# A collection of real models beside the checkout (shared/models), if there is one: random inputs of each one's domain, proofs,
# contracts on anvil. HALLMARK_MODELS names some of them.
collection: setup
	cargo test --release --test collection -- --ignored --nocapture

# A thousand submissions to anvil through an endpoint that fails, while blocks are reorganised and processes killed. Minutes.
submissions: setup
	cargo test --release --test submission -- --ignored --nocapture

# Random models through the whole compiler, some of them to a contract. Minutes; HALLMARK_SEEDS is how many, or from..to.
fuzz: setup
	cargo test --release --test fuzz -- --ignored --nocapture

# Every golden contract in 24 builds: four compilers, via-IR off and on, three numbers of runs. Minutes; writes docs/compilers.md.
matrix: setup
	cargo test --release --test matrix -- --ignored --nocapture

# slither, solhint and halmos on the golden contracts and contracts/; they are installed below cache/ (Python, Node.js).
analyse: setup
	script/analyse

# Lines and branches of contracts/ that the Foundry suite reaches. Gas is not compared: coverage compiles without the optimiser.
coverage: setup
	FOUNDRY_OUT=out/coverage FOUNDRY_CACHE_PATH=cache/coverage FORGE_SNAPSHOT_CHECK=false script/forge coverage --match-path 'tests/foundry/library/*' --no-match-coverage 'tests/|node_modules/' \
		--no-match-test test_snapshot

# Renews the gas figures of snapshots/, which `forge test` compares in the default profile.
snapshot: setup
	FORGE_SNAPSHOT_CHECK=false FORGE_SNAPSHOT_EMIT=true script/forge test --match-test test_snapshot

fmt: setup
	cargo fmt
	script/forge fmt

lint: setup
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	script/forge fmt --check

bench:
	cargo bench --bench credit

# EZKL and Hallmark on the same models in one run, to docs/benchmarks.md; COLLECTION is a folder of more models than the credit
# example (benches/peers/README.md). EZKL is installed below cache/ (Python).
peers: setup build
	script/peers $(if $(COLLECTION),--collection "$(COLLECTION)")

# What Hallmark forecasts of models of COLLECTION and what comes of it, to docs/benchmarks.md. Minutes.
forecasts: setup build
	script/peers --forecasts $(if $(COLLECTION),--collection "$(COLLECTION)")

# Proving time and memory against rows and weights, to docs/growth.csv, docs/growth.svg and docs/proving.md. Minutes; MAX_K is the largest
# domain, 2^19 rows by default.
growth:
	cargo bench --bench growth

# Halo2's prover and our own on the same circuits, to docs/proving.md. Minutes.
stock:
	cargo bench --bench stock

# The documentation site, in build/site (MkDocs, installed below cache/).
docs: build
	script/docs

# Follows the documentation: its commands in empty folders, and what it names in sources and --help.
docs-test: setup build
	script/docs-test

clean:
	cargo clean
	rm -rf node_modules out cache build broadcast packages/*/node_modules packages/*/dist
