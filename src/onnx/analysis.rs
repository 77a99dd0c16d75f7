//! Shape analysis by an independent implementation, to refuse models that two readers understand differently.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::{ModelProto, NodeProto};
use tract_onnx::prelude::{InferenceModelExt, TVec, TractResult};
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact};

use super::OnnxError;
use crate::graph::Graph;

/// Infers the shapes of the outputs from those of the inputs and compares them with those of `graph`, which must be
/// as imported: unfolded. Where the analysis does not know an operator or a shape it has no say.
pub(super) fn check(model: &ModelProto, graph: &Graph) -> Result<(), OnnxError> {
    if model.graph.iter().flat_map(|g| &g.node).any(sums_everything) {
        return Ok(());
    }
    // The analysis is not written for hostile models: it may panic.
    let Ok(Ok(shapes)) = catch_unwind(AssertUnwindSafe(|| output_shapes(model, graph))) else { return Ok(()) };
    for (found, (name, _, shape)) in shapes.iter().zip(&graph.outputs) {
        if let Some(found) = found.as_ref().filter(|found| *found != shape) {
            let reason = format!("output \"{name}\" has shape {found:?} in the analysis and {shape:?} after import");
            return Err(OnnxError::Analysis { reason });
        }
    }
    Ok(())
}

/// An Einsum whose result has no axes, which the analysis takes for one that does not say.
fn sums_everything(node: &NodeProto) -> bool {
    node.op_type == "Einsum" && node.attribute.iter().any(|a| a.name == "equation" && a.s.trim_ascii().ends_with(b"->"))
}

/// `None` stands for a shape that the analysis could not determine.
fn output_shapes(model: &ModelProto, graph: &Graph) -> TractResult<Vec<Option<Vec<usize>>>> {
    let framework = tract_onnx::onnx().with_ignore_value_info(true);
    let mut analysed = framework.parse(model, None)?.model;
    for (i, input) in graph.inputs.iter().enumerate() {
        let declared = analysed.input_fact(i)?.datum_type.concretize();
        let mut fact = InferenceFact::default().with_shape(TVec::from_slice(&input.shape));
        if let Some(datum_type) = declared {
            fact = fact.with_datum_type(datum_type);
        }
        analysed = analysed.with_input_fact(i, fact)?;
    }
    let typed = analysed.into_typed()?;
    let outputs = typed.output_outlets()?.to_vec();
    let shape = |outlet| Ok(typed.outlet_fact(outlet)?.shape.as_concrete().map(<[usize]>::to_vec));
    outputs.into_iter().map(shape).collect()
}
