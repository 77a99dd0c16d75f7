//! Constant tensors and their element types.

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::{TensorProto, tensor_proto};
use tract_onnx::prelude::Tensor;

use super::OnnxError;
use super::shape::{MAX_ELEMENTS, element_count};

/// What the importer tells apart about element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Integer,
    Bool,
}

/// The largest integer up to which `f64` holds every integer.
pub(super) const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What infinities in constants become, 2^1000: masks hold them, and they vanish in the softmax that they are made for.
const INFINITE: f64 = f64::from_bits((1023 + 1000) << 52);

/// 2^900. An import must not leave anything of at least this, which infinities or an overflow have made.
pub(super) const UNBOUNDED: f64 = f64::from_bits((1023 + 900) << 52);

/// The magnitude of the ends of the 64-bit integers, which exporters write for "no bound".
const NO_BOUND: f64 = 9_223_372_036_854_775_808.0;

/// A constant: a decoded initializer or attribute, or the result of folding.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    /// Where it came from, for messages.
    pub name: String,
    pub shape: Vec<usize>,
    pub kind: Kind,
    /// Row-major, finite; integers are exact, but for the ends of the 64-bit range; booleans are 0 or 1.
    pub data: Vec<f64>,
    /// The ONNX element type it was stored with; `None` if it was computed.
    pub stored_as: Option<i32>,
}

impl Constant {
    /// Checks what [`Self::data`] promises.
    pub fn new(name: &str, shape: Vec<usize>, kind: Kind, data: Vec<f64>) -> Result<Self, OnnxError> {
        if let Some((index, &value)) = data.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(OnnxError::NonFinite { tensor: name.into(), index, value });
        }
        if kind == Kind::Integer && data.iter().any(|v| v.abs() > MAX_EXACT && v.abs() != NO_BOUND) {
            let expected = "its integers must not exceed 2^53, so that they stay exact".into();
            return Err(OnnxError::UnsupportedType { tensor: name.into(), found: "integer".into(), expected });
        }
        Ok(Self { name: name.into(), shape, kind, data, stored_as: None })
    }

    /// Decodes an initializer or a tensor attribute; `name` is used in messages.
    pub fn decode(name: &str, proto: &TensorProto) -> Result<Self, OnnxError> {
        if proto.data_location == Some(tensor_proto::DataLocation::External as i32) || !proto.external_data.is_empty() {
            return Err(OnnxError::ExternalData { tensor: name.into() });
        }
        let malformed = |reason: String| OnnxError::Malformed { what: format!("tensor \"{name}\""), reason };
        let kind = element_kind(name, proto.data_type)?;
        let shape: Option<Vec<usize>> = proto.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let shape = shape.ok_or_else(|| malformed(format!("its dimensions {:?} are negative", proto.dims)))?;
        if element_count(&shape).is_none() {
            let (what, elements) = (format!("tensor \"{name}\""), format!("{shape:?}"));
            return Err(OnnxError::TooLarge { what, elements, limit: MAX_ELEMENTS });
        }
        let unsigned = raw_unsigned(proto, shape.iter().product()).map_err(malformed)?;
        let proto = unsigned.as_ref().unwrap_or(proto);
        let tensor = tract_onnx::tensor::load_tensor(&MmapDataResolver, proto, None);
        let tensor = tensor.map_err(|e| malformed(format!("{e:#}")))?;
        let mut data = elements(&tensor).map_err(|e| malformed(format!("{e:#}")))?;
        data.iter_mut().filter(|v| v.is_infinite()).for_each(|v| *v = INFINITE.copysign(*v));
        let end = |v: f64, w: &i64| v.abs() == NO_BOUND && *w != i64::MAX && *w != i64::MIN;
        if let Ok(exact) = tensor.to_plain_array_view::<i64>()
            && let Some((_, inexact)) = data.iter().zip(&exact).find(|(v, w)| end(**v, w))
        {
            let expected = "its integers must not exceed 2^53, so that they stay exact".into();
            return Err(OnnxError::UnsupportedType { tensor: name.into(), found: inexact.to_string(), expected });
        }
        Ok(Self { stored_as: Some(proto.data_type), ..Self::new(name, shape, kind, data)? })
    }

    /// The elements of an integer tensor; `None` for other types.
    pub fn integers(&self) -> Option<Vec<i64>> {
        (self.kind == Kind::Integer).then(|| self.data.iter().map(|&v| v as i64).collect())
    }
}

/// A tensor of 32 or 64 bits without sign whose elements are where ONNX wants them, as raw bytes: the decoder looks for
/// them elsewhere. `None` for all others.
fn raw_unsigned(proto: &TensorProto, expected: usize) -> Result<Option<TensorProto>, String> {
    use tensor_proto::DataType;
    let elements = proto.uint64_data.iter();
    let raw_data: Vec<u8> = match DataType::try_from(proto.data_type) {
        _ if proto.uint64_data.is_empty() => return Ok(None),
        Ok(DataType::Uint64) => elements.flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Uint32) => {
            let narrow = elements.map(|&v| u32::try_from(v).map_err(|_| format!("{v} does not fit in 32 bits")));
            narrow.collect::<Result<Vec<u32>, _>>()?.into_iter().flat_map(u32::to_le_bytes).collect()
        }
        _ => return Ok(None),
    };
    match proto.uint64_data.len() {
        found if found == expected => Ok(Some(TensorProto { raw_data, uint64_data: vec![], ..proto.clone() })),
        found => Err(format!("it has {found} elements instead of {expected}")),
    }
}

/// Elements in `f64`. Integers beyond 2^53 come back beyond 2^53.
fn elements(tensor: &Tensor) -> tract_onnx::prelude::TractResult<Vec<f64>> {
    let wide = tensor.cast_to::<f64>()?;
    Ok(wide.to_plain_array_view::<f64>()?.iter().copied().collect())
}

/// The kind of an ONNX element type; `tensor` is named if it is not supported.
pub(super) fn element_kind(tensor: &str, data_type: i32) -> Result<Kind, OnnxError> {
    use tensor_proto::DataType;
    let element_type = data_type;
    let data_type = DataType::try_from(data_type);
    match data_type {
        Ok(DataType::Float | DataType::Double | DataType::Float16) => Ok(Kind::Float),
        _ if integer_range(element_type).is_some() => Ok(Kind::Integer),
        Ok(DataType::Bool) => Ok(Kind::Bool),
        _ => Err(OnnxError::UnsupportedType {
            tensor: tensor.into(),
            found: data_type.map_or_else(|e| e.to_string(), |t| t.as_str_name().to_lowercase()),
            expected: "float, double, float16, bool and integers of 8 to 64 bits are understood".into(),
        }),
    }
}

/// The least and the greatest number of an ONNX integer type; `None` for other types.
pub(super) fn integer_range(data_type: i32) -> Option<(f64, f64)> {
    use tensor_proto::DataType;
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Uint8 => (0.0, u8::MAX.into()),
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Uint16 => (0.0, u16::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Uint32 => (0.0, u32::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Uint64 => (0.0, u64::MAX as f64),
        DataType::Int64 => (i64::MIN as f64, i64::MAX as f64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

    use super::Constant;

    #[test]
    fn unsigned_integers_are_read_from_their_field() {
        let tensor = |data_type: DataType, dims: &[i64], data: &[u64]| {
            let (dims, data_type, uint64_data) = (dims.to_vec(), data_type as i32, data.to_vec());
            Constant::decode("t", &TensorProto { dims, data_type, uint64_data, ..Default::default() })
        };
        let greatest = u64::from(u32::MAX);
        for data_type in [DataType::Uint32, DataType::Uint64] {
            assert_eq!(tensor(data_type, &[2], &[7, greatest]).unwrap().data, [7.0, greatest as f64]);
            assert!(
                tensor(data_type, &[3], &[7, greatest]).unwrap_err().to_string().contains("2 elements instead of 3")
            );
        }
        let error = tensor(DataType::Uint32, &[], &[greatest + 1]).unwrap_err().to_string();
        assert!(error.contains("4294967296 does not fit in 32 bits"), "{error}");
    }
}
