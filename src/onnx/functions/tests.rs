use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto,
};

use super::Supplement;
use crate::graph::Graph;
use crate::onnx::testing::{Attr, floats, graph_of, model, node};
use crate::onnx::{OnnxError, import_bytes, import_model};

const DOMAIN: &str = "our.functions";

fn function(name: &str, inputs: &[&str], outputs: &[&str], attributes: &[&str], node: Vec<NodeProto>) -> FunctionProto {
    let strings = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    FunctionProto {
        name: Some(name.into()),
        domain: Some(DOMAIN.into()),
        input: strings(inputs),
        output: strings(outputs),
        attribute: strings(attributes),
        node,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        ..Default::default()
    }
}

fn call(name: &str, inputs: &[&str], output: &str, attributes: Vec<(&str, Attr)>) -> NodeProto {
    NodeProto { domain: DOMAIN.into(), ..node(name, inputs, output, attributes) }
}

/// The node with attribute `own`, a float, that is the function's attribute `name`.
fn referring(mut node: NodeProto, own: &str, name: &str) -> NodeProto {
    let (own, ref_attr_name, r#type) = (own.into(), name.into(), AttributeType::Float as i32);
    node.attribute.push(AttributeProto { name: own, ref_attr_name, r#type, ..Default::default() });
    node
}

/// A model on an input of three elements.
fn with_functions(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> ModelProto {
    ModelProto { functions, ..model(&[("x", &[1, 3])], "y", vec![], nodes) }
}

fn import(model: &ModelProto) -> Result<Graph, OnnxError> {
    import_bytes("m", &model.encode_to_vec())
}

const X: [f64; 3] = [-1.5, 0.25, 2.0];

/// Both models mean the same.
fn same(found: &ModelProto, nodes: Vec<NodeProto>) {
    let expected = import_model(&with_functions(nodes, vec![])).unwrap();
    assert_eq!(import(found).unwrap().eval(&X), expected.eval(&X));
}

fn refused(model: &ModelProto, expected: &str) {
    let error = import(model).expect_err("it was imported").to_string();
    assert!(error.contains(expected), "{error}");
}

/// `alpha` below zero, then `1 + .`
fn shifted_leaky() -> FunctionProto {
    let body = vec![
        node("Constant", &[], "one", vec![("value_float", Attr::Float(1.0))]),
        referring(node("LeakyRelu", &["a"], "t", vec![]), "alpha", "slope"),
        node("Add", &["t", "one"], "r", vec![]),
    ];
    function("ShiftedLeaky", &["a"], &["r"], &["slope"], body)
}

#[test]
fn calls_are_written_out_with_names_of_their_own() {
    // values of the body, and prefixes that the names of calls suggest, are names in the model, too
    let calls = vec![
        node("Neg", &["x"], "t", vec![]),
        call("ShiftedLeaky", &["t"], "u", vec![("slope", Attr::Float(0.5))]),
        NodeProto {
            name: "ShiftedLeaky_u".into(),
            ..call("ShiftedLeaky", &["u"], "v", vec![("slope", Attr::Float(0.25))])
        },
        node("Abs", &["v"], "ShiftedLeaky_u_2/t", vec![]),
        node("Sub", &["ShiftedLeaky_u_2/t", "t"], "y", vec![]),
    ];
    let plain = vec![
        node("Constant", &[], "one", vec![("value_float", Attr::Float(1.0))]),
        node("Neg", &["x"], "t", vec![]),
        node("LeakyRelu", &["t"], "a", vec![("alpha", Attr::Float(0.5))]),
        node("Add", &["a", "one"], "u", vec![]),
        node("LeakyRelu", &["u"], "b", vec![("alpha", Attr::Float(0.25))]),
        node("Add", &["b", "one"], "v", vec![]),
        node("Abs", &["v"], "w", vec![]),
        node("Sub", &["w", "t"], "y", vec![]),
    ];
    same(&with_functions(calls, vec![shifted_leaky()]), plain);
}

#[test]
fn attributes_have_defaults_of_the_function_or_of_the_operator() {
    let model = with_functions(vec![call("ShiftedLeaky", &["x"], "y", vec![])], vec![shifted_leaky()]);
    let plain = |alpha: Option<f32>| {
        vec![
            node("Constant", &[], "one", vec![("value_float", Attr::Float(1.0))]),
            node("LeakyRelu", &["x"], "a", alpha.map(|alpha| ("alpha", Attr::Float(alpha))).into_iter().collect()),
            node("Add", &["a", "one"], "y", vec![]),
        ]
    };
    same(&model, plain(None));

    // of the field with defaults the decoder's message knows nothing
    let mut with_default = model;
    let mut function = with_default.functions.remove(0);
    function.attribute.clear();
    let attribute_proto = node("", &[], "", vec![("slope", Attr::Float(0.75))]).attribute;
    let function = [function.encode_to_vec(), Supplement { attribute_proto }.encode_to_vec()].concat();
    let mut bytes = with_default.encode_to_vec();
    prost::encoding::encode_key(25, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(function.len() as u64, &mut bytes);
    bytes.extend(function);
    let graph = import_bytes("m", &bytes).unwrap();
    assert_eq!(graph.eval(&X), import_model(&with_functions(plain(Some(0.75)), vec![])).unwrap().eval(&X));
}

#[test]
fn functions_call_others() {
    let outer = function(
        "Twice",
        &["a"],
        &["r"],
        &["s"],
        vec![
            referring(call("ShiftedLeaky", &["a"], "t", vec![]), "slope", "s"),
            call("ShiftedLeaky", &["t"], "r", vec![("slope", Attr::Float(2.0))]),
        ],
    );
    let calls = vec![call("Twice", &["x"], "y", vec![("s", Attr::Float(0.5))])];
    let plain = vec![
        node("Constant", &[], "one", vec![("value_float", Attr::Float(1.0))]),
        node("LeakyRelu", &["x"], "a", vec![("alpha", Attr::Float(0.5))]),
        node("Add", &["a", "one"], "u", vec![]),
        node("LeakyRelu", &["u"], "b", vec![("alpha", Attr::Float(2.0))]),
        node("Add", &["b", "one"], "y", vec![]),
    ];
    same(&with_functions(calls, vec![outer, shifted_leaky()]), plain);
}

#[test]
fn arguments_may_be_left_out_and_passed_on() {
    let clip = function(
        "Clip",
        &["a", "low", "high"],
        &["r", "a"],
        &[],
        vec![node("Clip", &["a", "low", "high"], "r", vec![])],
    );
    let mut calls = vec![call("Clip", &["x", "", "limit"], "c", vec![]), node("Add", &["c", "same"], "y", vec![])];
    calls[0].output.push("same".into());
    let mut found = with_functions(calls, vec![clip]);
    graph_of(&mut found).initializer.push(floats("limit", &[], &[0.5]));
    let graph = import(&found).unwrap();
    assert_eq!(graph.eval(&X), [-3.0, 0.5, 2.5]);
    // a result that the call does not take
    graph_of(&mut found).node[0].output[0].clear();
    graph_of(&mut found).node[1].input[0] = "same".into();
    assert_eq!(import(&found).unwrap().eval(&X), [-3.0, 0.5, 4.0]);
}

#[test]
fn graphs_within_bodies_see_arguments_and_have_names_of_their_own() {
    let branch = |op: &str| {
        let g = GraphProto {
            node: vec![
                node(op, &["a"], "t", vec![]),
                call("ShiftedLeaky", &["t"], "b", vec![("slope", Attr::Float(0.5))]),
            ],
            output: vec![ValueInfoProto { name: "b".into(), ..Default::default() }],
            ..Default::default()
        };
        (Some(g), AttributeType::Graph as i32)
    };
    let mut choice = node("If", &["c"], "r", vec![]);
    for (name, op) in [("then_branch", "Neg"), ("else_branch", "Abs")] {
        let (g, r#type) = branch(op);
        choice.attribute.push(AttributeProto { name: name.into(), g, r#type, ..Default::default() });
    }
    let chooser = function("Choose", &["a", "c"], &["r"], &[], vec![choice]);
    for (condition, op) in [(1, "Neg"), (0, "Abs")] {
        let calls = vec![
            node("Cast", &["number"], "c", vec![("to", Attr::Int(9))]),
            call("Choose", &["x", "c"], "t", vec![]),
            call("Choose", &["t", "c"], "y", vec![]),
        ];
        let mut found = with_functions(calls, vec![chooser.clone(), shifted_leaky()]);
        graph_of(&mut found).initializer.push(floats("number", &[], &[condition as f32]));
        let step = |input: &str, output: &str| {
            let (a, b) = (format!("{output}_a"), format!("{output}_b"));
            vec![
                node(op, &[input], &a, vec![]),
                node("LeakyRelu", &[&a], &b, vec![("alpha", Attr::Float(0.5))]),
                node("Add", &[&b, "one"], output, vec![]),
            ]
        };
        let one = node("Constant", &[], "one", vec![("value_float", Attr::Float(1.0))]);
        same(&found, [vec![one], step("x", "t"), step("t", "y")].concat());
    }
}

#[test]
fn what_is_wrong_with_a_call_is_said_by_name() {
    let calling = |node: NodeProto, functions: Vec<FunctionProto>| with_functions(vec![node], functions);
    let one = |node: NodeProto| calling(node, vec![shifted_leaky()]);
    refused(&one(call("ShiftedLeaky", &["x"], "y", vec![("alpha", Attr::Float(1.0))])), "attribute alpha is not known");
    refused(&one(call("ShiftedLeaky", &["x", "x"], "y", vec![])), "it has 2 inputs, the function 1");
    refused(&one(call("Other", &["x"], "y", vec![])), "our.functions::Other");
    refused(&one(call("ShiftedLeaky", &["x"], "y", vec![("slope", Attr::Int(1))])), "another type than float");

    let again = function("Again", &["a"], &["r"], &[], vec![call("Back", &["a"], "r", vec![])]);
    let back = function("Back", &["a"], &["r"], &[], vec![call("Again", &["a"], "r", vec![])]);
    refused(&calling(call("Again", &["x"], "y", vec![]), vec![again, back]), "the function calls itself");

    let leaky = || call("ShiftedLeaky", &["x"], "y", vec![]);
    refused(&calling(leaky(), vec![shifted_leaky(), shifted_leaky()]), "two functions of this name");
    let mut newer = shifted_leaky();
    newer.opset_import[0].version = 14;
    refused(&calling(leaky(), vec![newer]), "operator set 14, the model in 13");
    let shadow = FunctionProto { name: Some("Relu".into()), domain: None, ..shifted_leaky() };
    refused(&calling(node("Relu", &["x"], "y", vec![]), vec![shadow]), "an operator of ONNX");
    let unknown = function("Unknown", &["a"], &["r"], &[], vec![node("Foo", &["a"], "r", vec![])]);
    refused(&calling(call("Unknown", &["x"], "y", vec![]), vec![unknown]), "\"Unknown_y/Foo_r\": Foo");
    refused(
        &calling(referring(node("LeakyRelu", &["x"], "y", vec![]), "alpha", "slope"), vec![]),
        "it refers to slope",
    );
}

#[test]
fn the_operator_set_may_be_that_of_the_functions_alone() {
    let mut model = with_functions(vec![call("ShiftedLeaky", &["x"], "y", vec![])], vec![shifted_leaky()]);
    model.opset_import = vec![OperatorSetIdProto { domain: DOMAIN.into(), version: 1 }];
    assert!(import(&model).is_ok());
    model.functions[0].opset_import[0].version = 1000;
    refused(&model, "version 1000");
}

/// Thirty functions, each of which calls the next twice.
#[test]
fn calls_that_multiply_are_refused_before_they_fill_the_memory() {
    let level = |i: usize| {
        let next = format!("F{}", i + 1);
        let body = vec![call(&next, &["a"], "t", vec![]), call(&next, &["t"], "r", vec![])];
        function(&format!("F{i}"), &["a"], &["r"], &[], body)
    };
    let mut functions: Vec<FunctionProto> = (0..30).map(level).collect();
    functions.push(function("F30", &["a"], &["r"], &[], vec![node("Neg", &["a"], "r", vec![])]));
    refused(&with_functions(vec![call("F0", &["x"], "y", vec![])], functions), "writing out the model's functions");
}

#[test]
fn functions_that_are_not_called_do_not_matter() {
    let never = function("Never", &["a"], &["r"], &[], vec![call("Never", &["a"], "r", vec![])]);
    assert!(import(&with_functions(vec![node("Relu", &["x"], "y", vec![])], vec![never])).is_ok());
}
