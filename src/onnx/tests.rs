//! What is refused, and how it is said.

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{ModelProto, OperatorSetIdProto, SparseTensorProto, TensorProto, ValueInfoProto};

use super::testing::{Attr, agrees, declare, floats, graph_of, ints, model, node, weights};
use super::{MAX_OPSET, MIN_OPSET, OnnxError, UnsupportedNode, import_bytes, import_model, supported_operators};

/// Gemm, Relu, Gemm.
fn mlp() -> ModelProto {
    let nodes = vec![
        node("Gemm", &["x", "w1", "b1"], "h", vec![]),
        node("Relu", &["h"], "r", vec![]),
        node("Gemm", &["r", "w2"], "y", vec![]),
    ];
    model(
        &[("x", &[-1, 3])],
        "y",
        vec![weights("w1", &[3, 4], 1), weights("b1", &[4], 2), weights("w2", &[4, 2], 3)],
        nodes,
    )
}

fn changed(change: impl FnOnce(&mut ModelProto)) -> OnnxError {
    let mut model = mlp();
    change(&mut model);
    import_model(&model).unwrap_err()
}

#[test]
fn a_symbolic_batch_is_one_row() {
    let graph = agrees(&mlp());
    assert_eq!((graph.inputs[0].shape.clone(), graph.outputs[0].2.clone()), (vec![1, 3], vec![1, 2]));
}

#[test]
fn nodes_may_come_in_any_order() {
    let mut shuffled = mlp();
    graph_of(&mut shuffled).node.reverse();
    assert_eq!(import_model(&shuffled).unwrap(), import_model(&mlp()).unwrap());
}

#[test]
fn an_initializer_may_also_be_declared_as_an_input() {
    let mut old_style = mlp();
    graph_of(&mut old_style).input.insert(0, declare("w1", &[3, 4], DataType::Float));
    assert_eq!(agrees(&old_style), import_model(&mlp()).unwrap());
}

#[test]
fn all_unsupported_operators_are_named_at_once() {
    let error = changed(|m| {
        graph_of(m).node[1].op_type = "Unique".into();
        graph_of(m).node[2].domain = "ai.onnx.ml".into();
    });
    let OnnxError::UnsupportedOperators { nodes, supported } = &error else { panic!("{error}") };
    let unsupported = |node: &str, operator: &str| UnsupportedNode { node: node.into(), operator: operator.into() };
    assert_eq!(*nodes, [unsupported("Relu_r", "Unique"), unsupported("Gemm_y", "ai.onnx.ml::Gemm")]);
    assert_eq!(*supported, supported_operators());
    let message = error.to_string();
    let unique = "\n  \"Relu_r\": Unique (the shape of its result depends on the data)\n";
    assert!(message.starts_with(&format!("2 of the model's nodes have no lowering:{unique}")), "{message}");
    assert!(message.contains("supported operators: Abs, Acos, Acosh, Add, And"), "{message}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let mut broken = mlp();
    let graph = graph_of(&mut broken);
    graph.initializer[2].float_data[3] = f32::NAN;
    graph.node[0] = node("Gemm", &["x", "w1"], "h", vec![("alpha", Attr::Int(2))]);
    graph.node.extend([
        node("Unique", &["x"], "n", vec![]),
        node("Relu", &["nothing"], "z", vec![]),
        node("Add", &["x", "w1"], "a", vec![]),
        node("Div", &["x", "b0"], "d", vec![]),
        node("Add", &["n", "a"], "follows", vec![]),
    ]);
    graph.initializer.push(floats("b0", &[1], &[0.0]));
    graph.output.push(ValueInfoProto { name: "follows".into(), ..Default::default() });
    let error = import_model(&broken).unwrap_err();
    let OnnxError::Several { problems, supported } = &error else { panic!("{error}") };
    assert_eq!(*problems, error.problems());
    assert_eq!((problems.count, supported.as_slice()), (6, supported_operators().as_slice()));
    let place = |i: usize| {
        let problem = &problems.listed[i];
        [&problem.node, &problem.operator, &problem.attribute].map(|place| place.as_deref().unwrap_or_default())
    };
    // what reads a value that is missing is no problem of its own
    let places: Vec<_> = (0..6).map(place).collect();
    let expected = [
        ["", "", ""],
        ["", "", ""],
        ["Gemm_h", "Gemm", "alpha"],
        ["Unique_n", "Unique", ""],
        ["Add_a", "Add", ""],
        ["Div_d", "Div", ""],
    ];
    assert_eq!(places, expected, "{error}");
    assert!(problems.listed[3].suggestion.as_ref().is_some_and(|s| s.contains("outside of the model")), "{error}");
    let message = error.to_string();
    for words in [
        "6 problems stand in the way of importing the model:",
        "\n  \"w2\" holds NaN at index 3",
        "node \"Relu_z\" (Relu) reads \"nothing\"",
        "\n  node \"Div_d\" (Div): \"1 / b0\" holds inf",
        "supported operators: Abs",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn a_problem_has_the_node_where_it_was_noticed() {
    let mut broken = mlp();
    graph_of(&mut broken).node[1] = node("Div", &["h", "zero"], "r", vec![]);
    graph_of(&mut broken).initializer.push(floats("zero", &[1], &[0.0]));
    let problems = super::collect(&broken).map_err(|found| found.problems).unwrap_err();
    assert_eq!((problems.count, problems.listed[0].node.as_deref()), (1, Some("Div_r")));
    assert!(matches!(import_model(&broken), Err(OnnxError::NonFinite { .. })));
}

#[test]
fn a_version_that_is_not_known_leaves_the_operators_to_be_checked() {
    let error = changed(|m| {
        m.opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 99 }];
        graph_of(m).node[1].op_type = "Unique".into();
    });
    assert_eq!(error.problems().count, 2, "{error}");
}

#[test]
fn bad_weights_are_named() {
    let nan = changed(|m| graph_of(m).initializer[0].float_data[5] = f32::NAN);
    assert_eq!(nan.to_string(), "\"w1\" holds NaN at index 5; weights must be finite");
    let infinite = changed(|m| graph_of(m).initializer[1].float_data[0] = f32::NEG_INFINITY);
    assert_eq!(infinite.to_string(), "\"the folded weights of Gemm_h\" holds -inf at index 12; weights must be finite");
    let alpha =
        changed(|m| graph_of(m).node[0] = node("Gemm", &["x", "w1"], "h", vec![("alpha", Attr::Float(f32::NAN))]));
    assert!(matches!(alpha, OnnxError::NonFinite { .. }), "{alpha}");
    let overflow = changed(|m| {
        let graph = graph_of(m);
        let (name, data_type) = ("w".into(), DataType::Double as i32);
        graph.initializer =
            vec![TensorProto { name, dims: vec![3, 3], data_type, double_data: vec![1e300; 9], ..Default::default() }];
        graph.input = vec![declare("x", &[1, 3], DataType::Double)];
        graph.node = vec![node("MatMul", &["x", "w"], "h", vec![]), node("MatMul", &["h", "w"], "y", vec![])];
    });
    assert!(matches!(overflow, OnnxError::NonFinite { .. }), "{overflow}");
}

#[test]
fn element_types_are_named() {
    let weight = changed(|m| graph_of(m).initializer[2].data_type = DataType::Bfloat16 as i32);
    assert!(
        matches!(&weight, OnnxError::UnsupportedType { tensor, found, .. } if tensor == "w2" && found == "bfloat16"),
        "{weight}"
    );
    let unknown = changed(|m| graph_of(m).initializer[2].data_type = 1000);
    assert!(matches!(unknown, OnnxError::UnsupportedType { .. }));
    let input = changed(|m| graph_of(m).input[0] = declare("x", &[1, 3], DataType::String));
    assert!(matches!(input, OnnxError::UnsupportedType { .. }));
}

#[test]
fn half_and_double_weights_are_read() {
    for (data_type, int32_data, double_data) in
        [(DataType::Float16, vec![0x3c00, 0xc000], vec![]), (DataType::Double, vec![], vec![1.0, -2.0])]
    {
        let weight = TensorProto {
            name: "w".into(),
            dims: vec![2],
            data_type: data_type as i32,
            int32_data,
            double_data,
            ..Default::default()
        };
        let nodes = vec![
            node("Cast", &["w"], "f", vec![("to", Attr::Int(DataType::Float as i64))]),
            node("Mul", &["x", "f"], "y", vec![]),
        ];
        assert_eq!(agrees(&model(&[("x", &[1, 2])], "y", vec![weight], nodes)).eval(&[1.0, 1.0]), [1.0, -2.0]);
    }
}

#[test]
fn dynamic_dimensions_are_named() {
    let error = changed(|m| graph_of(m).input[0] = declare("x", &[1, -7], DataType::Float));
    assert!(error.to_string().starts_with("input \"x\" has a dynamic dimension 1 (\"n7\");"), "{error}");
    let undeclared = changed(|m| graph_of(m).input[0].r#type = None);
    assert!(matches!(undeclared, OnnxError::Malformed { .. }));
}

#[test]
fn names_are_checked() {
    let twice = changed(|m| graph_of(m).node[1].output[0] = "h".into());
    assert!(matches!(&twice, OnnxError::DuplicateName { name, .. } if name == "h"), "{twice}");
    let shadowed = changed(|m| graph_of(m).node[1].output[0] = "w1".into());
    assert!(matches!(shadowed, OnnxError::DuplicateName { .. }));
    let initializers = changed(|m| graph_of(m).initializer[1].name = "w1".into());
    assert!(matches!(initializers, OnnxError::DuplicateName { .. }));
    let undefined = changed(|m| graph_of(m).node[1].input[0] = "nothing".into());
    assert_eq!(
        undefined.to_string(),
        "node \"Relu_r\" (Relu) reads \"nothing\", which no input, initializer or node defines"
    );
    let output = changed(|m| graph_of(m).output[0].name = "nothing".into());
    assert!(matches!(output, OnnxError::Undefined { .. }));
    let missing = changed(|m| graph_of(m).node[0].input.truncate(1));
    assert_eq!(missing.to_string(), "node \"Gemm_h\" (Gemm): it lacks its input 1");
    let skipped = changed(|m| graph_of(m).node[0].input[1] = String::new());
    assert!(matches!(skipped, OnnxError::MissingInput { position: 1, .. }));
}

#[test]
fn cycles_are_named() {
    let error = changed(|m| graph_of(m).node[0].input[2] = "y".into());
    assert_eq!(error.to_string(), "the graph has a cycle through nodes \"Gemm_h\", \"Relu_r\", \"Gemm_y\"");
    let itself = changed(|m| graph_of(m).node[1].input[0] = "r".into());
    assert!(matches!(itself, OnnxError::Cycle { .. }));
}

#[test]
fn sizes_are_capped_before_anything_is_allocated() {
    let tensor = changed(|m| graph_of(m).initializer[0].dims = vec![1 << 40, 1 << 40]);
    assert!(matches!(tensor, OnnxError::TooLarge { .. }), "{tensor}");
    let negative = changed(|m| graph_of(m).initializer[0].dims = vec![-1, 4]);
    assert!(matches!(negative, OnnxError::Malformed { .. }));
    let lengths = changed(|m| graph_of(m).initializer[0].dims = vec![3, 5]);
    assert!(matches!(lengths, OnnxError::Malformed { .. }), "{lengths}");
    let input = changed(|m| graph_of(m).input[0] = declare("x", &[1, i64::MAX], DataType::Float));
    assert!(matches!(input, OnnxError::TooLarge { .. }));
    let outer = changed(|m| {
        let graph = graph_of(m);
        graph.input = vec![declare("x", &[1 << 13, 1], DataType::Float)];
        graph.initializer = vec![weights("w", &[1, 1 << 13], 0)];
        graph.node = vec![node("MatMul", &["x", "w"], "y", vec![])];
    });
    assert!(matches!(outer, OnnxError::TooLarge { .. }), "{outer}");
    let empty = changed(|m| graph_of(m).initializer[0] = floats("w1", &[0, 4], &[]));
    assert!(matches!(empty, OnnxError::ShapeMismatch { .. }), "{empty}");
    let output = changed(|m| {
        graph_of(m).initializer.push(floats("none", &[0], &[]));
        graph_of(m).output[0].name = "none".into();
    });
    assert!(matches!(output, OnnxError::ZeroSized { .. }), "{output}");
    let batch = changed(|m| graph_of(m).input[0] = declare("x", &[0, 4], DataType::Float));
    assert!(matches!(&batch, OnnxError::ZeroSized { tensor, shape } if tensor == "x" && shape == &[0, 4]), "{batch}");
}

#[test]
fn integers_are_exact_or_mean_no_bound() {
    let sliced = |end: i64| {
        let nodes = vec![node("Slice", &["x", "start", "end"], "y", vec![])];
        import_model(&model(&[("x", &[3])], "y", vec![ints("start", &[1], &[1]), ints("end", &[1], &[end])], nodes))
    };
    for end in [i64::MAX, 1 << 53] {
        assert_eq!(sliced(end).unwrap().eval(&[1.0, 2.0, 3.0]), [2.0, 3.0]);
    }
    for end in [i64::MAX - 1, i64::MIN + 1, (1 << 53) + 2] {
        assert!(matches!(sliced(end), Err(OnnxError::UnsupportedType { .. })), "{end}");
    }
}

#[test]
fn weights_must_be_inside_the_file() {
    let external = changed(|m| graph_of(m).initializer[0].data_location = Some(DataLocation::External as i32));
    assert!(matches!(&external, OnnxError::ExternalData { tensor } if tensor == "w1"), "{external}");
    let sparse = changed(|m| graph_of(m).sparse_initializer.push(SparseTensorProto::default()));
    assert!(matches!(sparse, OnnxError::Malformed { .. }));
}

#[test]
fn an_output_may_be_constant() {
    let mut model = mlp();
    graph_of(&mut model).output.push(ValueInfoProto { name: "b1".into(), ..Default::default() });
    let graph = import_model(&model).unwrap();
    let expected = import_model(&mlp()).unwrap();
    let x = vec![0.5; graph.input_len()];
    let (found, own) = (graph.eval(&x), expected.eval(&x));
    assert_eq!(found[..own.len()], own);
    let b1 = graph_of(&mut model).initializer.iter().find(|t| t.name == "b1").unwrap().float_data.clone();
    assert_eq!(found[own.len()..], b1.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
}

#[test]
fn there_must_be_outputs() {
    let none = changed(|m| graph_of(m).output.clear());
    assert!(matches!(none, OnnxError::Malformed { .. }));
}

#[test]
fn operator_sets_from_the_first_to_the_last() {
    let expected = import_model(&mlp()).unwrap();
    for version in MIN_OPSET..=MAX_OPSET {
        let mut model = mlp();
        model.opset_import[0].version = version;
        assert_eq!(agrees(&model), expected);
    }
}

#[test]
fn operator_sets_are_checked() {
    for version in [i64::MIN, MIN_OPSET - 1, MAX_OPSET + 1] {
        let error = changed(|m| m.opset_import = vec![OperatorSetIdProto { domain: String::new(), version }]);
        assert!(matches!(error, OnnxError::Opset { found, .. } if found == version));
    }
    let absent = changed(|m| m.opset_import.clear());
    assert!(matches!(absent, OnnxError::Malformed { .. }));
}

#[test]
fn attributes_of_another_type_are_refused() {
    let error = changed(|m| graph_of(m).node[0] = node("Gemm", &["x", "w1"], "h", vec![("alpha", Attr::Int(2))]));
    assert!(
        matches!(&error, OnnxError::UnsupportedAttribute { attribute, .. } if attribute == "attribute alpha"),
        "{error}"
    );
}

#[test]
fn other_files_are_not_onnx() {
    for bytes in [&b""[..], b"{\"input_data\": []}", b"\x89PNG\r\n\x1a\n", &[0xff; 64]] {
        assert!(matches!(import_bytes("file", bytes), Err(OnnxError::NotOnnx { .. })), "{bytes:?}");
    }
}
