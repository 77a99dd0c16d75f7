//! Other systems' verifiers on the same statement, from the checked-in measurements.

use serde::{Deserialize, Serialize};

use super::{
    Failure,
    output::{Align, grid, thousands},
};

/// The measurements; `benches/peers/README.md` says how they were taken.
const PEERS: &str = include_str!("../../benches/peers/peers.json");

/// All measurements.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// The model that all statements are about.
    pub model: String,
    /// Where gas was measured.
    pub chain: String,
    /// Where proving was measured.
    pub machine: String,
    /// Hallmark's figures from the same run: their proving is comparable, that of a later `bench` elsewhere is not.
    pub hallmark: Vec<Row>,
    pub peers: Vec<Row>,
}

/// One verifier's figures. What was not measured is absent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub name: String,
    pub version: String,
    /// The day of the measurement, `YYYY-MM-DD`, or only its month.
    pub date: Option<String>,
    /// What is private and what is public.
    pub statement: String,
    pub transaction_gas: u64,
    pub execution_gas: Option<u64>,
    pub deployment_gas: Option<u64>,
    pub proof_bytes: Option<u64>,
    pub calldata_bytes: Option<u64>,
    /// The contract's runtime code.
    pub contract_bytes: Option<u64>,
    /// From the input to the proof: CPU time over all threads, and the peak of the processes' memory.
    pub prove_cpu_seconds: Option<f64>,
    pub prove_peak_rss_bytes: Option<u64>,
    /// The command that measures it, or where the figure comes from.
    pub source: String,
}

/// The checked-in measurements.
pub fn read() -> Result<Peers, Failure> {
    serde_json::from_str(PEERS).map_err(|error| format!("benches/peers/peers.json: {error}").into())
}

/// A table of `ours` and the peers, cheapest first.
pub fn text(ours: &Row, peers: &Peers) -> String {
    let mut rows: Vec<&Row> = peers.peers.iter().chain([ours]).collect();
    rows.sort_by_key(|row| row.transaction_gas);
    let figure = |value: Option<u64>| value.map_or("-".into(), thousands);
    let cells = |row: &Row| {
        let ratio = row.transaction_gas as f64 / ours.transaction_gas.max(1) as f64;
        vec![
            format!("  {} {}", row.name, row.version),
            row.statement.clone(),
            thousands(row.transaction_gas),
            figure(row.execution_gas),
            figure(row.deployment_gas),
            figure(row.proof_bytes),
            figure(row.calldata_bytes),
            figure(row.contract_bytes),
            format!("{ratio:.2} x"),
            row.date.clone().unwrap_or("now".into()),
        ]
    };
    let head =
        ["", "statement", "transaction", "execution", "deployment", "proof B", "calldata B", "contract B", "gas"];
    let head = head.into_iter().chain(["measured"]).map(String::from).collect();
    let mut align = [Align::Right; 10];
    for text in [0, 1, 9] {
        align[text] = Align::Left;
    }
    let table: Vec<_> = [head].into_iter().chain(rows.into_iter().map(cells)).collect();
    format!("Verifiers of {} ({})\n{}", peers.model, peers.chain, grid(&table, &align))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_file_is_complete() {
        let peers = read().unwrap();
        assert!(peers.peers.len() >= 7, "{peers:?}");
        for name in ["EZKL", "snarkjs Groth16", "snarkjs PLONK", "snarkjs fflonk", "snark-verifier"] {
            assert!(peers.peers.iter().any(|peer| peer.name.starts_with(name)), "{name}");
        }
        assert!(peers.hallmark.iter().all(|ours| ours.prove_cpu_seconds > Some(0.0)), "{peers:?}");
        for peer in peers.peers.iter().chain(&peers.hallmark) {
            let date = peer.date.as_deref().unwrap_or_default();
            assert!([7, 10].contains(&date.len()) && date.starts_with("20"), "{peer:?}");
            assert!(peer.transaction_gas > 100_000 && !peer.source.is_empty(), "{peer:?}");
            let execution = peer.execution_gas.unwrap_or(0);
            assert!(execution + 21_000 < peer.transaction_gas, "{peer:?}");
        }
    }

    #[test]
    fn rows_are_in_order_and_compared_with_ours() {
        let row = |name: &str, gas: u64| Row {
            name: name.into(),
            version: "1".into(),
            date: None,
            statement: "x".into(),
            transaction_gas: gas,
            execution_gas: None,
            deployment_gas: None,
            proof_bytes: Some(1_000),
            calldata_bytes: None,
            contract_bytes: None,
            prove_cpu_seconds: None,
            prove_peak_rss_bytes: None,
            source: String::new(),
        };
        let peers = Peers {
            model: "m".into(),
            chain: "c".into(),
            machine: "c".into(),
            hallmark: vec![],
            peers: vec![row("dear", 300_000), row("cheap", 100_000)],
        };
        let text = text(&row("ours", 200_000), &peers);
        let lines: Vec<Vec<&str>> = text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        let expected = [("cheap", "100,000", "0.50"), ("ours", "200,000", "1.00"), ("dear", "300,000", "1.50")];
        for (line, (name, gas, ratio)) in lines.iter().zip(expected) {
            assert_eq!(line[..], [name, "1", "x", gas, "-", "-", "1,000", "-", "-", ratio, "x", "now"]);
        }
    }
}
