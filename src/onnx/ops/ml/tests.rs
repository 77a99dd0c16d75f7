//! Tiny models, with the results of onnxruntime 1.x written down as numbers.

use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType,
};

use crate::graph::Graph;
use crate::onnx::testing::{Attr, declare, floats, graph_of, ints, model, node};
use crate::onnx::{OnnxError, import_model};

fn text(name: &str, value: &str) -> AttributeProto {
    let kind = AttributeType::String as i32;
    AttributeProto { name: name.into(), s: value.as_bytes().to_vec(), r#type: kind, ..Default::default() }
}

fn texts(name: &str, values: &[&str]) -> AttributeProto {
    let strings = values.iter().map(|v| v.as_bytes().to_vec()).collect();
    AttributeProto { name: name.into(), strings, r#type: AttributeType::Strings as i32, ..Default::default() }
}

/// A node of `ai.onnx.ml`; outputs are separated by commas.
fn ml(op: &str, inputs: &[&str], outputs: &str, attributes: Vec<(&str, Attr)>, more: Vec<AttributeProto>) -> NodeProto {
    let mut node = node(op, inputs, outputs, attributes);
    node.domain = "ai.onnx.ml".into();
    node.output = outputs.split(',').map(str::to_string).collect();
    node.attribute.extend(more);
    node
}

fn single(node: NodeProto, shape: &[i64]) -> ModelProto {
    let outputs = node.output.clone();
    let mut model = model(&[("x", shape)], "y", vec![], vec![node]);
    graph_of(&mut model).output =
        outputs.iter().map(|name| ValueInfoProto { name: name.clone(), ..Default::default() }).collect();
    model.opset_import.push(OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 3 });
    model
}

fn assert_gives(graph: &Graph, cases: &[(&[f64], &[f64])]) {
    for (input, expected) in cases {
        let found = graph.eval(input);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        let close = found.iter().zip(*expected).all(|(a, b)| (a - b).abs() < 2e-6);
        assert!(close, "{input:?} gives {found:?} and not {expected:?}");
    }
}

fn gives(node: NodeProto, shape: &[i64], cases: &[(&[f64], &[f64])]) {
    assert_gives(&import_model(&single(node, shape)).unwrap(), cases);
}

fn refused(node: NodeProto, shape: &[i64]) -> String {
    import_model(&single(node, shape)).unwrap_err().to_string()
}

type Leaf<'a> = &'a [(i64, f32)];
/// Leaves, transform, base values, and what the sides of the threshold give.
type Case<'a> = (&'a [(Leaf<'a>, Leaf<'a>)], &'a str, &'a [f32], [f64; 3], [f64; 3]);

/// Trees that ask `x <= 1/2`, with the weights of their two leaves each.
struct Stumps<'a> {
    op: &'a str,
    leaves: &'a [(Leaf<'a>, Leaf<'a>)],
    more: Vec<AttributeProto>,
    base: &'a [f32],
    mode: &'a str,
}

impl Stumps<'_> {
    fn node(self) -> NodeProto {
        let trees = self.leaves.len();
        let per_tree = |values: [i64; 3]| values.repeat(trees);
        let tree_ids: Vec<i64> = (0..trees as i64).flat_map(|t| [t; 3]).collect();
        let mut entries: Vec<(i64, i64, i64, f32)> = vec![];
        for (t, (yes, no)) in self.leaves.iter().enumerate() {
            for (id, leaf) in [(1, yes), (2, no)] {
                entries.extend(leaf.iter().map(|&(output, weight)| (t as i64, id, output, weight)));
            }
        }
        let column = |f: fn(&(i64, i64, i64, f32)) -> i64| entries.iter().map(f).collect::<Vec<_>>();
        let (leaf_trees, leaf_nodes, outputs) = (column(|e| e.0), column(|e| e.1), column(|e| e.2));
        let weights: Vec<f32> = entries.iter().map(|e| e.3).collect();
        let classifier = self.op.ends_with("Classifier");
        let names = match classifier {
            true => ["class_treeids", "class_nodeids", "class_ids", "class_weights"],
            false => ["target_treeids", "target_nodeids", "target_ids", "target_weights"],
        };
        let modes = [self.mode, "LEAF", "LEAF"].repeat(trees);
        let mut more = self.more;
        more.push(texts("nodes_modes", &modes));
        let attributes = vec![
            ("nodes_treeids", Attr::Ints(&tree_ids)),
            ("nodes_nodeids", Attr::Ints(&[])),
            (names[0], Attr::Ints(&leaf_trees)),
            (names[1], Attr::Ints(&leaf_nodes)),
            (names[2], Attr::Ints(&outputs)),
            (names[3], Attr::Floats(&weights)),
            ("base_values", Attr::Floats(self.base)),
        ];
        let mut node = ml(self.op, &["x"], if classifier { "l,s" } else { "s" }, attributes, more);
        let lists = [
            ("nodes_nodeids", [0, 1, 2]),
            ("nodes_featureids", [0; 3]),
            ("nodes_truenodeids", [1, 0, 0]),
            ("nodes_falsenodeids", [2, 0, 0]),
        ];
        node.attribute.retain(|a| a.name != "nodes_nodeids");
        for (name, values) in lists {
            node.attribute.push(integers(name, &per_tree(values)));
        }
        let values = [0.5, 0.0, 0.0].repeat(trees);
        let kind = AttributeType::Floats as i32;
        node.attribute.push(AttributeProto {
            name: "nodes_values".into(),
            floats: values,
            r#type: kind,
            ..Default::default()
        });
        node
    }
}

fn integers(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto { name: name.into(), ints: values.to_vec(), r#type: kind, ..Default::default() }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: value, r#type: AttributeType::Int as i32, ..Default::default() }
}

fn classifier(leaves: &[(Leaf, Leaf)], labels: &[i64], post: &str, base: &[f32]) -> NodeProto {
    let more = vec![integers("classlabels_int64s", labels), text("post_transform", post)];
    Stumps { op: "TreeEnsembleClassifier", leaves, more, base, mode: "BRANCH_LEQ" }.node()
}

fn regressor(leaves: &[(Leaf, Leaf)], targets: i64, aggregate: &str, post: &str, base: &[f32]) -> NodeProto {
    let more = vec![integer("n_targets", targets), text("aggregate_function", aggregate), text("post_transform", post)];
    Stumps { op: "TreeEnsembleRegressor", leaves, more, base, mode: "BRANCH_LEQ" }.node()
}

const ONE: &[i64] = &[1, 1];

#[test]
fn regressions_of_one_target() {
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 0.2)], &[(0, 0.9)]), (&[(0, 0.4)], &[(0, -0.5)])];
    for (aggregate, low, high) in [("SUM", 1.1, 0.9), ("AVERAGE", 0.8, 0.7), ("MIN", 0.7, 0.0), ("MAX", 0.9, 1.4)] {
        gives(regressor(leaves, 1, aggregate, "NONE", &[0.5]), ONE, &[(&[0.0], &[low]), (&[1.0], &[high])]);
    }
    assert!(refused(regressor(leaves, 1, "SUM", "LOGISTIC", &[]), ONE).contains("post_transform"));
    assert!(refused(regressor(leaves, 1, "SUM", "PROBIT", &[]), ONE).contains("PROBIT"));
}

#[test]
fn regressions_of_two_targets() {
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 0.2), (1, 1.0)], &[(0, 0.9), (1, 2.0)]), (&[(0, 0.4)], &[(0, -0.5)])];
    let base = &[0.5, 0.25];
    let sum = regressor(leaves, 2, "SUM", "NONE", base);
    gives(sum, ONE, &[(&[0.0], &[1.1, 1.25]), (&[1.0], &[0.9, 2.25])]);
    let softmax = regressor(leaves, 2, "SUM", "SOFTMAX", base);
    gives(softmax, ONE, &[(&[0.0], &[0.46257016, 0.53742981]), (&[1.0], &[0.20587036, 0.79412961])]);
    assert!(refused(regressor(leaves, 2, "MIN", "NONE", base), ONE).contains("MIN or MAX"));
}

#[test]
fn every_relation_and_batches() {
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 1.0)], &[(0, 0.0)])];
    for (mode, expected) in [
        ("BRANCH_LEQ", [1.0, 1.0, 0.0]),
        ("BRANCH_LT", [1.0, 0.0, 0.0]),
        ("BRANCH_GTE", [0.0, 1.0, 1.0]),
        ("BRANCH_GT", [0.0, 0.0, 1.0]),
        ("BRANCH_EQ", [0.0, 1.0, 0.0]),
        ("BRANCH_NEQ", [1.0, 0.0, 1.0]),
    ] {
        let more = vec![integer("n_targets", 1)];
        let node = Stumps { op: "TreeEnsembleRegressor", leaves, more, base: &[], mode }.node();
        gives(node, &[3, 1], &[(&[0.25, 0.5, 0.75], &expected)]);
    }
}

#[test]
fn two_classes_with_one_column_of_scores() {
    let positive: &[(Leaf, Leaf)] = &[(&[(0, 0.2)], &[(0, 0.9)])];
    let mixed: &[(Leaf, Leaf)] = &[(&[(0, -0.2)], &[(0, 0.9)])];
    let second: &[(Leaf, Leaf)] = &[(&[(1, 0.2)], &[(1, 0.9)])];
    let labels = &[7, 17];
    let cases: [Case; 6] = [
        (positive, "NONE", &[], [7.0, 0.8, 0.2], [17.0, 0.1, 0.9]),
        (mixed, "NONE", &[], [7.0, 0.2, -0.2], [17.0, -0.9, 0.9]),
        (mixed, "NONE", &[0.25], [17.0, -0.05, 0.05], [17.0, -1.15, 1.15]),
        (positive, "LOGISTIC", &[0.25], [7.0, 0.38936073, 0.61063913], [17.0, 0.24048912, 0.75951087]),
        (second, "NONE", &[], [7.0, 0.0, 0.2], [17.0, 0.0, 0.9]),
        (second, "SOFTMAX", &[], [7.0, 0.45016599, 0.54983395], [17.0, 0.28905049, 0.71094948]),
    ];
    for (leaves, post, base, low, high) in cases {
        gives(classifier(leaves, labels, post, base), ONE, &[(&[0.0], &low), (&[1.0], &high)]);
    }
    let both: &[(Leaf, Leaf)] = &[(&[(0, 0.3), (1, 0.7)], &[(0, 0.6), (1, 0.4)])];
    for (leaves, post, base) in [(both, "NONE", &[][..]), (positive, "SOFTMAX", &[]), (second, "NONE", &[0.5])] {
        assert!(refused(classifier(leaves, labels, post, base), ONE).contains("is not supported"));
    }
}

#[test]
fn more_classes() {
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 0.3), (1, -0.7), (2, 0.1)], &[(0, -0.6), (1, -0.4), (2, -0.5)])];
    let labels = &[7, 17, 27];
    let plain = classifier(leaves, labels, "NONE", &[0.25, 0.5, 0.0]);
    gives(plain, ONE, &[(&[0.0], &[7.0, 0.55, -0.2, 0.1]), (&[1.0], &[17.0, -0.35, 0.1, -0.5])]);
    let softmax = classifier(leaves, labels, "SOFTMAX", &[]);
    let expected: [&[f64]; 2] =
        [&[7.0, 0.45732889, 0.16824190, 0.37442920], &[17.0, 0.30060959, 0.36716539, 0.33222499]];
    gives(softmax, ONE, &[(&[0.0], expected[0]), (&[1.0], expected[1])]);
    // A class without a score is not chosen, even if all scores are negative.
    let absent: &[(Leaf, Leaf)] = &[(&[(0, -0.3)], &[(1, -0.4)])];
    assert!(refused(classifier(absent, labels, "NONE", &[]), ONE).contains("no score"));
    let base = classifier(absent, labels, "NONE", &[0.25, 0.5, 0.0]);
    gives(base, ONE, &[(&[0.0], &[17.0, -0.05, 0.5, 0.0]), (&[1.0], &[7.0, 0.25, 0.1, 0.0])]);
}

#[test]
fn labels_that_are_strings_are_indices() {
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 0.2)], &[(0, 0.9)])];
    let more = vec![texts("classlabels_strings", &["no", "yes"])];
    let node = Stumps { op: "TreeEnsembleClassifier", leaves, more, base: &[], mode: "BRANCH_LEQ" }.node();
    gives(node, ONE, &[(&[0.0], &[0.0, 0.8, 0.2]), (&[1.0], &[1.0, 0.1, 0.9])]);
}

/// A list of an attribute of the stump, with one element changed.
fn changed(name: &str, at: usize, value: i64) -> String {
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 0.2)], &[(0, 0.9)])];
    let mut node = regressor(leaves, 1, "SUM", "NONE", &[]);
    node.attribute.iter_mut().find(|a| a.name == name).unwrap().ints[at] = value;
    refused(node, ONE)
}

#[test]
fn malformed_trees_are_refused() {
    for (name, at, value, reason) in [
        ("nodes_nodeids", 1, 0, "given twice"),
        ("nodes_truenodeids", 0, 9, "has no node 9"),
        ("nodes_truenodeids", 0, 0, "a root or a child twice"),
        ("nodes_falsenodeids", 0, 1, "a root or a child twice"),
        ("nodes_treeids", 2, 1, "has no node 2"),
        ("nodes_featureids", 0, 1, "tests feature 1"),
        ("nodes_featureids", 0, -1, "tests feature -1"),
        ("target_nodeids", 0, 0, "is no leaf"),
        ("target_nodeids", 0, 2, "two weights"),
        ("target_ids", 0, 1, "none of 1 outputs"),
    ] {
        let error = changed(name, at, value);
        assert!(error.contains(reason), "{name}: {error}");
    }
    let leaves: &[(Leaf, Leaf)] = &[(&[(0, 0.2)], &[(0, f32::NAN)])];
    let error = import_model(&single(regressor(leaves, 1, "SUM", "NONE", &[]), ONE)).unwrap_err();
    assert!(matches!(error, OnnxError::NonFinite { .. }), "{error}");
    let none = regressor(&[], 1, "SUM", "NONE", &[]);
    assert!(refused(none, ONE).contains("no trees"));
    let huge = regressor(&[(&[(0, 0.2)], &[])], i64::MAX, "SUM", "NONE", &[]);
    assert!(refused(huge, ONE).contains("more than the limit"));
}

#[test]
fn linear_models() {
    let post = |name: &str| vec![text("post_transform", name)];
    let x: [&[f64]; 2] = [&[0.5, -1.0], &[-2.0, 0.25]];
    let one = |name: &str| {
        let attributes = vec![
            ("coefficients", Attr::Floats(&[0.5, 0.25])),
            ("intercepts", Attr::Floats(&[0.125])),
            ("classlabels_ints", Attr::Ints(&[3, 9])),
        ];
        ml("LinearClassifier", &["x"], "l,s", attributes, post(name))
    };
    gives(one("NONE"), &[1, 2], &[(x[0], &[9.0, 0.875, 0.125]), (x[1], &[3.0, 1.8125, -0.8125])]);
    gives(one("LOGISTIC"), &[1, 2], &[(x[0], &[9.0, 0.468791, 0.531209]), (x[1], &[3.0, 0.692642, 0.307358])]);
    assert!(refused(one("SOFTMAX"), &[1, 2]).contains("SOFTMAX"));
    let attributes = vec![
        ("coefficients", Attr::Floats(&[-0.5, -0.25, 0.5, 0.25, 1.0, 1.0])),
        ("intercepts", Attr::Floats(&[-0.125, 0.125, 0.0])),
        ("classlabels_ints", Attr::Ints(&[3, 9, 5])),
    ];
    let three = ml("LinearClassifier", &["x"], "l,s", attributes, post("SOFTMAX"));
    let expected: [&[f64]; 2] = [&[9.0, 0.336551, 0.432141, 0.231308], &[3.0, 0.784915, 0.154559, 0.060526]];
    gives(three.clone(), &[1, 2], &[(x[0], expected[0]), (x[1], expected[1])]);
    // Probabilities that sum to 1 are not divided by their sum again.
    let mut normalised = single(three, &[1, 2]);
    let nodes = import_model(&normalised).unwrap().nodes.len();
    graph_of(&mut normalised).node.push(ml("Normalizer", &["s"], "y", vec![], vec![text("norm", "L1")]));
    graph_of(&mut normalised).output[1].name = "y".into();
    let graph = import_model(&normalised).unwrap();
    assert_eq!(graph.nodes.len(), nodes);
    assert_gives(&graph, &[(x[0], expected[0]), (x[1], expected[1])]);
    let attributes = vec![
        ("coefficients", Attr::Floats(&[0.5, 0.25, 1.0, 0.0])),
        ("intercepts", Attr::Floats(&[0.125, 0.0])),
        ("targets", Attr::Int(2)),
    ];
    let two = ml("LinearRegressor", &["x"], "y", attributes, post("NONE"));
    gives(two.clone(), &[1, 2], &[(x[0], &[0.125, 0.5]), (x[1], &[-0.8125, -2.0])]);
    assert!(refused(two, &[1, 3]).contains("coefficients"));
}

#[test]
fn support_vector_machines() {
    let x: [&[f64]; 2] = [&[0.5, -1.0], &[-2.0, 0.25]];
    for (kernel, low, high) in [
        ("LINEAR", 0.75, -1.4375),
        ("POLY", 0.367188, 0.669922),
        ("RBF", 0.497935, 0.114475),
        ("SIGMOID", 0.524941, -0.417482),
    ] {
        let attributes = vec![
            ("kernel_params", Attr::Floats(&[0.5, 0.25, 2.0])),
            ("coefficients", Attr::Floats(&[1.0, -0.5])),
            ("support_vectors", Attr::Floats(&[1.0, 0.0, 0.5, 0.5])),
            ("rho", Attr::Floats(&[0.125])),
            ("n_supports", Attr::Int(2)),
        ];
        let node = ml("SVMRegressor", &["x"], "y", attributes, vec![text("kernel_type", kernel)]);
        gives(node, &[1, 2], &[(x[0], &[low]), (x[1], &[high])]);
    }
    let attributes = vec![
        ("coefficients", Attr::Floats(&[1.0, -0.5, 0.25, -1.0, 0.5, 0.75])),
        ("support_vectors", Attr::Floats(&[1.0, 0.0, 0.5, 0.5, -1.0, 0.0])),
        ("rho", Attr::Floats(&[0.125, -0.5, 0.25])),
        ("vectors_per_class", Attr::Ints(&[1, 1, 1])),
        ("classlabels_ints", Attr::Ints(&[3, 9, 5])),
    ];
    let mut three = ml("SVMClassifier", &["x"], "l,s", attributes, vec![]);
    let expected: [&[f64]; 2] = [&[5.0, 0.75, -1.125, -0.25], &[9.0, -1.4375, 2.0, 1.3125]];
    gives(three.clone(), &[1, 2], &[(x[0], expected[0]), (x[1], expected[1])]);
    three.attribute.iter_mut().find(|a| a.name == "vectors_per_class").unwrap().ints[0] = i64::MAX;
    refused(three, &[1, 2]);
    let attributes = vec![
        ("kernel_params", Attr::Floats(&[0.5, 0.25, 2.0])),
        ("coefficients", Attr::Floats(&[1.0, -0.5, 0.25])),
        ("support_vectors", Attr::Floats(&[1.0, 0.0, 0.5, 0.5, -1.0, 0.0])),
        ("rho", Attr::Floats(&[0.125])),
        ("vectors_per_class", Attr::Ints(&[2, 1])),
        ("classlabels_ints", Attr::Ints(&[3, 9])),
    ];
    let two = ml("SVMClassifier", &["x"], "l,s", attributes, vec![text("kernel_type", "RBF")]);
    gives(two, &[1, 2], &[(x[0], &[3.0, -0.547163, 0.547163]), (x[1], &[3.0, -0.261442, 0.261442])]);
}

#[test]
fn scaling_and_norms() {
    let x: [&[f64]; 2] = [&[0.5, -1.0], &[-2.0, 0.25]];
    let attributes = vec![("offset", Attr::Floats(&[1.0, 2.0])), ("scale", Attr::Floats(&[2.0, 3.0]))];
    let scaler = ml("Scaler", &["x"], "y", attributes, vec![]);
    gives(scaler, &[1, 2], &[(x[0], &[-1.0, -9.0]), (x[1], &[-6.0, -5.25])]);
    let binarizer = ml("Binarizer", &["x"], "y", vec![("threshold", Attr::Float(0.25))], vec![]);
    gives(binarizer, &[1, 2], &[(x[0], &[1.0, 0.0]), (x[1], &[0.0, 0.0])]);
    for (norm, low, high) in [
        ("MAX", [1.0, -2.0], [-8.0, 1.0]),
        ("L1", [1.0 / 3.0, -2.0 / 3.0], [-8.0 / 9.0, 1.0 / 9.0]),
        ("L2", [0.447214, -0.894427], [-0.992278, 0.124035]),
    ] {
        let normalizer = ml("Normalizer", &["x"], "y", vec![], vec![text("norm", norm)]);
        gives(normalizer, &[1, 2], &[(x[0], &low), (x[1], &high)]);
    }
    let mut imputer = ml("Imputer", &["x"], "y", vec![("imputed_value_floats", Attr::Floats(&[1.0]))], vec![]);
    gives(imputer.clone(), &[1, 2], &[(x[0], x[0])]);
    imputer.attribute.push(AttributeProto {
        name: "replaced_value_float".into(),
        f: 0.5,
        r#type: AttributeType::Float as i32,
        ..Default::default()
    });
    assert!(refused(imputer, &[1, 2]).contains("only NaN"));
}

#[test]
fn features_are_arranged() {
    let mut extract = single(ml("ArrayFeatureExtractor", &["x", "i"], "y", vec![], vec![]), &[2, 3]);
    graph_of(&mut extract).initializer.push(ints("i", &[2], &[2, 0]));
    let graph = import_model(&extract).unwrap();
    assert_gives(&graph, &[(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3.0, 1.0, 6.0, 4.0])]);
    graph_of(&mut extract).initializer[0] = ints("i", &[1], &[3]);
    assert!(import_model(&extract).is_err());

    let widths = vec![("inputdimensions", Attr::Ints(&[2, 1]))];
    let mut side_by_side = single(ml("FeatureVectorizer", &["x", "z"], "y", widths, vec![]), &[2, 2]);
    graph_of(&mut side_by_side).input.push(declare("z", &[2, 1], DataType::Float));
    let graph = import_model(&side_by_side).unwrap();
    assert_gives(&graph, &[(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 2.0, 5.0, 3.0, 4.0, 6.0])]);

    let zip = ml("ZipMap", &["x"], "y", vec![("classlabels_int64s", Attr::Ints(&[4, 5]))], vec![]);
    gives(zip.clone(), &[1, 2], &[(&[1.0, 2.0], &[1.0, 2.0])]);
    refused(zip, &[1, 3]);
}

#[test]
fn integers_are_encoded() {
    let of_integers = |node: NodeProto| {
        let mut model = single(node, &[1, 2]);
        graph_of(&mut model).input = vec![declare("x", &[1, 2], DataType::Int64)];
        model
    };
    let attributes = vec![("keys_int64s", Attr::Ints(&[3, -4])), ("values_floats", Attr::Floats(&[0.5, 2.0]))];
    let mut encoder = ml("LabelEncoder", &["x"], "y", attributes, vec![]);
    let graph = import_model(&of_integers(encoder.clone())).unwrap();
    assert_gives(&graph, &[(&[3.0, -4.0], &[0.5, 2.0]), (&[0.0, 3.0], &[0.0, 0.5])]);
    encoder.attribute.iter_mut().find(|a| a.name == "keys_int64s").unwrap().ints[1] = 3;
    assert!(import_model(&of_integers(encoder.clone())).unwrap_err().to_string().contains("given twice"));
    refused(encoder, &[1, 2]);
    let one_hot = ml("OneHotEncoder", &["x"], "y", vec![("cats_int64s", Attr::Ints(&[3, -4]))], vec![]);
    let graph = import_model(&of_integers(one_hot)).unwrap();
    assert_gives(&graph, &[(&[3.0, 0.0], &[1.0, 0.0, 0.0, 0.0]), (&[-4.0, 3.0], &[0.0, 1.0, 1.0, 0.0])]);
}

#[test]
fn ensembles_of_tensors() {
    // x <= 1/2 ? 2 : (x < 3/4 ? -1 : 2), and a target of its own for the second tree.
    let tensor = |name: &str, data: &[f32]| floats(name, &[data.len() as i64], data);
    let (splits, weights) = (tensor("s", &[0.5, 0.75, 0.25]), tensor("w", &[2.0, -1.0, 3.0, 4.0]));
    let modes = TensorProto {
        dims: vec![3],
        data_type: DataType::Uint8 as i32,
        int32_data: vec![0, 1, 3],
        ..Default::default()
    };
    let with = |roots: &[i64], yes: &[i64], aggregate: i64| {
        let attributes = vec![
            ("nodes_splits", Attr::Tensor(&splits)),
            ("nodes_modes", Attr::Tensor(&modes)),
            ("leaf_weights", Attr::Tensor(&weights)),
            ("tree_roots", Attr::Ints(roots)),
            ("nodes_featureids", Attr::Ints(&[0, 0, 0])),
            ("nodes_truenodeids", Attr::Ints(yes)),
            ("nodes_trueleafs", Attr::Ints(&[1, 1, 1])),
            ("nodes_falsenodeids", Attr::Ints(&[1, 0, 3])),
            ("nodes_falseleafs", Attr::Ints(&[0, 1, 1])),
            ("leaf_targetids", Attr::Ints(&[0, 0, 1, 1])),
            ("n_targets", Attr::Int(2)),
            ("aggregate_function", Attr::Int(aggregate)),
        ];
        ml("TreeEnsemble", &["x"], "y", attributes, vec![])
    };
    let expected: [&[f64]; 3] = [&[2.0, 4.0], &[-1.0, 3.0], &[2.0, 3.0]];
    let cases = [(&[0.25][..], expected[0]), (&[0.625], expected[1]), (&[0.875], expected[2])];
    gives(with(&[0, 2], &[0, 1, 2], 1), ONE, &cases);
    gives(with(&[0, 2], &[0, 1, 2], 0), ONE, &[(&[0.625], &[-0.5, 1.5])]);
    assert!(refused(with(&[0, 2], &[0, 1, 2], 2), ONE).contains("MIN or MAX"));
    assert!(refused(with(&[0], &[0, 1, 2], 1), ONE).contains("cannot be reached"));
    assert!(refused(with(&[0, 1], &[0, 1, 2], 1), ONE).contains("a root or a child twice"));
    assert!(refused(with(&[0, 2], &[0, 4, 2], 1), ONE).contains("has no child 4"));
    assert!(refused(with(&[0, 7], &[0, 1, 2], 1), ONE).contains("there is no node 7"));
}

#[test]
fn models_of_other_domains_alone_maps_and_text() {
    let zip = ml("ZipMap", &["x"], "y", vec![("classlabels_int64s", Attr::Ints(&[4, 5]))], vec![]);
    let mut model = single(zip, &[1, 2]);
    // XGBoost's exporter names no version of ONNX's own operators.
    model.opset_import.retain(|import| import.domain == "ai.onnx.ml");
    let graph = graph_of(&mut model);
    // The type of a map, which the protobuf decoder does not know.
    graph.output[0].r#type = Some(TypeProto::default());
    let (name, data_type, dims) = ("names".into(), DataType::String as i32, vec![1]);
    graph.initializer.push(TensorProto {
        name,
        data_type,
        dims,
        string_data: vec![b"a".to_vec()],
        ..Default::default()
    });
    assert_gives(&import_model(&model).unwrap(), &[(&[1.0, 2.0], &[1.0, 2.0])]);

    graph_of(&mut model).node[0].input[0] = "names".into();
    assert!(matches!(import_model(&model), Err(OnnxError::UnsupportedType { .. })));
    graph_of(&mut model).node[0] = node("Relu", &["x"], "y", vec![]);
    assert!(import_model(&model).unwrap_err().to_string().contains("operator set"));
}
