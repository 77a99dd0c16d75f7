//! ONNX models built in memory, and a run of the independent implementation to compare with. The unit tests include this
//! file by path.

#![allow(dead_code, reason = "no test uses all of it")]

use hallmark::graph::Graph;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension, type_proto,
};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

pub enum Attr<'a> {
    Int(i64),
    Float(f32),
    Text(&'a str),
    Ints(&'a [i64]),
    Floats(&'a [f32]),
    Texts(&'a [&'a str]),
    Tensor(&'a TensorProto),
    Graph(GraphProto),
}

pub fn node(op: &str, inputs: &[&str], output: &str, attributes: Vec<(&str, Attr)>) -> NodeProto {
    let attribute = |(name, value): (&str, Attr)| {
        let mut proto = AttributeProto { name: name.into(), ..Default::default() };
        let kind = match value {
            Attr::Int(v) => (proto.i = v, AttributeType::Int).1,
            Attr::Float(v) => (proto.f = v, AttributeType::Float).1,
            Attr::Text(v) => (proto.s = v.into(), AttributeType::String).1,
            Attr::Ints(v) => (proto.ints = v.to_vec(), AttributeType::Ints).1,
            Attr::Floats(v) => (proto.floats = v.to_vec(), AttributeType::Floats).1,
            Attr::Texts(v) => (proto.strings = v.iter().map(|&s| s.into()).collect(), AttributeType::Strings).1,
            Attr::Tensor(v) => (proto.t = Some(v.clone()), AttributeType::Tensor).1,
            Attr::Graph(v) => (proto.g = Some(v), AttributeType::Graph).1,
        };
        proto.r#type = kind as i32;
        proto
    };
    NodeProto {
        op_type: op.into(),
        name: format!("{op}_{output}"),
        input: inputs.iter().map(|s| s.to_string()).collect(),
        output: vec![output.into()],
        attribute: attributes.into_iter().map(attribute).collect(),
        ..Default::default()
    }
}

pub fn floats(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    let (name, dims, data_type) = (name.into(), dims.to_vec(), DataType::Float as i32);
    TensorProto { name, dims, data_type, float_data: data.to_vec(), ..Default::default() }
}

pub fn ints(name: &str, dims: &[i64], data: &[i64]) -> TensorProto {
    let (name, dims, data_type) = (name.into(), dims.to_vec(), DataType::Int64 as i32);
    TensorProto { name, dims, data_type, int64_data: data.to_vec(), ..Default::default() }
}

/// Random weights of the given shape.
pub fn weights(name: &str, dims: &[i64], seed: u64) -> TensorProto {
    let data = random(dims.iter().product::<i64>() as usize, seed);
    floats(name, dims, &data)
}

/// Numbers from -2 to 2.
pub fn random(count: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 40) as f32) / ((1 << 22) as f32) - 2.0
    };
    (0..count).map(|_| next()).collect()
}

/// A value's declaration; a negative dimension is a symbolic one.
pub fn declare(name: &str, dims: &[i64], data_type: DataType) -> ValueInfoProto {
    let dimension = |&d: &i64| {
        let symbol = dimension::Value::DimParam(format!("n{}", -d));
        Dimension { value: Some(if d < 0 { symbol } else { dimension::Value::DimValue(d) }), ..Default::default() }
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dimension).collect() });
    let tensor = type_proto::Tensor { elem_type: data_type as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() });
    ValueInfoProto { name: name.into(), r#type, ..Default::default() }
}

/// A model in operator set 13.
pub fn model(
    inputs: &[(&str, &[i64])],
    output: &str,
    initializer: Vec<TensorProto>,
    node: Vec<NodeProto>,
) -> ModelProto {
    let graph = GraphProto {
        node,
        initializer,
        input: inputs.iter().map(|(name, dims)| declare(name, dims, DataType::Float)).collect(),
        output: vec![ValueInfoProto { name: output.into(), ..Default::default() }],
        ..Default::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 7, opset_import, graph: Some(graph), ..Default::default() }
}

pub fn graph_of(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// Runs `model` in `f32`, all inputs and outputs concatenated.
pub fn run(model: &ModelProto, graph: &Graph, inputs: &[f32]) -> TractResult<Vec<f32>> {
    let mut reference = tract_onnx::onnx().with_ignore_value_info(true).parse(model, None)?.model;
    let mut tensors: TVec<TValue> = tvec![];
    let mut rest = inputs;
    for (i, input) in graph.inputs.iter().enumerate() {
        let (head, tail) = rest.split_at(input.len());
        let datum_type = reference.input_fact(i)?.datum_type.concretize().unwrap();
        let fact = InferenceFact::dt_shape(datum_type, input.shape.as_slice());
        reference = reference.with_input_fact(i, fact)?;
        let tensor = Tensor::from_shape(&input.shape, head)?;
        tensors.push(tensor.cast_to_dt(datum_type)?.into_owned().into());
        rest = tail;
    }
    let outputs = reference.into_typed()?.into_runnable()?.run(tensors)?;
    let mut result = vec![];
    for output in outputs {
        result.extend(output.cast_to::<f32>()?.to_plain_array_view::<f32>()?.iter().copied());
    }
    Ok(result)
}
