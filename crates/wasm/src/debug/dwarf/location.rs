//! Where a value is: the evaluation of location expressions.
//!
//! Compilers for WebAssembly write straight lines of a few operations, so that is all there is here:
//! no jumps and no calls, which means that no expression runs for long.

use gimli::{Encoding, Expression, Operation};

use super::Reader;
use super::machine::{Frame, Unreadable};

/// Bytes of a value that is not in memory, or of which parts are elsewhere.
const PIECES_BYTES_MAX: usize = 1_024;

/// Values that an expression may put on top of each other.
const DEPTH_MAX: usize = 64;

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In linear memory.
    Memory(u64),
    /// Nowhere in memory: the bytes themselves, from the lowest on. Those that are missing were
    /// optimised away.
    Bytes(Vec<Option<u8>>),
    /// It cannot be read.
    Gone(Unreadable),
}

impl Place {
    /// The place of a part that begins `offset` bytes later.
    pub(super) fn at(&self, offset: u64) -> Place {
        match self {
            Place::Memory(address) => Place::Memory(address.wrapping_add(offset)),
            Place::Bytes(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Place::Bytes(bytes[from..].to_vec())
            }
            Place::Gone(why) => Place::Gone(*why),
        }
    }

    /// The first `size` bytes of it.
    pub(super) fn read(&self, size: usize, frame: &Frame<'_>) -> Result<Vec<u8>, Unreadable> {
        match self {
            Place::Memory(address) => frame.memory(*address, size).map(<[u8]>::to_vec),
            Place::Bytes(bytes) => {
                let part = bytes.get(..size).ok_or(Unreadable::OptimisedAway)?;
                part.iter().copied().collect::<Option<Vec<u8>>>().ok_or(Unreadable::OptimisedAway)
            }
            Place::Gone(why) => Err(*why),
        }
    }
}

/// What the top of the stack means at the end of an expression, or of a piece.
enum Meaning {
    /// An address.
    Address,
    /// The value itself.
    Value,
    Bytes(Vec<u8>),
}

/// Evaluates an expression. `base` is the address of the function's frame in linear memory.
pub(super) fn evaluate(
    (expression, encoding): (Expression<Reader<'_>>, Encoding),
    frame: &Frame<'_>,
    base: Option<u64>,
) -> Place {
    match Evaluation::new(frame, base).run(expression, encoding) {
        Ok(place) => place,
        Err(why) => Place::Gone(why),
    }
}

struct Evaluation<'f> {
    frame: &'f Frame<'f>,
    base: Option<u64>,
    stack: Vec<u64>,
    meaning: Meaning,
    pieces: Option<Vec<Option<u8>>>,
}

impl<'f> Evaluation<'f> {
    fn new(frame: &'f Frame<'f>, base: Option<u64>) -> Self {
        Evaluation { frame, base, stack: Vec::new(), meaning: Meaning::Address, pieces: None }
    }

    fn run(
        mut self,
        expression: Expression<Reader<'_>>,
        encoding: Encoding,
    ) -> Result<Place, Unreadable> {
        if expression.0.is_empty() {
            return Err(Unreadable::OptimisedAway);
        }
        let mut operations = expression.operations(encoding);
        while let Some(operation) = operations.next().map_err(|_| Unreadable::Malformed)? {
            match operation {
                Operation::Piece { size_in_bits, bit_offset: None } if size_in_bits % 8 == 0 => {
                    self.piece(size_in_bits / 8)?;
                }
                operation => self.operation(&operation)?,
            }
        }
        if let Some(bytes) = self.pieces {
            return Ok(Place::Bytes(bytes));
        }
        Ok(match self.meaning {
            // Addresses of these programs have 32 bits, the arithmetic here has 64.
            Meaning::Address => Place::Memory(self.pop()? & u64::from(u32::MAX)),
            Meaning::Value => Place::Bytes(known(&self.pop()?.to_le_bytes())),
            Meaning::Bytes(bytes) => Place::Bytes(known(&bytes)),
        })
    }

    /// Takes what stands there as the next `size` bytes of the value.
    fn piece(&mut self, size: u64) -> Result<(), Unreadable> {
        let before = self.pieces.as_ref().map_or(0, Vec::len);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > PIECES_BYTES_MAX || before + size > PIECES_BYTES_MAX {
            return Err(Unreadable::Malformed);
        }
        let mut part = match std::mem::replace(&mut self.meaning, Meaning::Address) {
            // A piece without a location is one that was optimised away.
            Meaning::Address if self.stack.is_empty() => Vec::new(),
            Meaning::Address => {
                let address = self.pop()? & u64::from(u32::MAX);
                known(self.frame.memory(address, size)?)
            }
            Meaning::Value => known(&self.pop()?.to_le_bytes()),
            Meaning::Bytes(bytes) => known(&bytes),
        };
        part.resize(size, None);
        self.pieces.get_or_insert_default().append(&mut part);
        Ok(())
    }

    fn operation(&mut self, operation: &Operation<Reader<'_>>) -> Result<(), Unreadable> {
        let value = match *operation {
            Operation::Nop => return Ok(()),
            Operation::WasmLocal { index } => self.frame.local(index)?,
            Operation::WasmGlobal { index } => self.frame.global(index)?,
            Operation::WasmStack { index } => self.frame.operand(index)?,
            Operation::UnsignedConstant { value } => value,
            Operation::SignedConstant { value } => value as u64,
            Operation::Address { address } => address,
            Operation::FrameOffset { offset } => {
                self.base.ok_or(Unreadable::OptimisedAway)?.wrapping_add(offset as u64)
            }
            Operation::PlusConstant { value } => self.pop()?.wrapping_add(value),
            Operation::Deref { size, space: false, .. } => {
                let address = self.pop()? & u64::from(u32::MAX);
                let bytes = self.frame.memory(address, usize::from(size.min(8)))?;
                number(bytes)
            }
            Operation::Pick { index } => {
                let at = self.stack.len().checked_sub(1 + usize::from(index));
                *at.and_then(|at| self.stack.get(at)).ok_or(Unreadable::Malformed)?
            }
            Operation::Neg => self.pop()?.wrapping_neg(),
            Operation::Not => !self.pop()?,
            Operation::Drop => return self.pop().map(drop),
            Operation::Swap => {
                let (top, below) = (self.pop()?, self.pop()?);
                self.push(top)?;
                below
            }
            Operation::StackValue => {
                self.meaning = Meaning::Value;
                return Ok(());
            }
            Operation::ImplicitValue { data } => {
                self.meaning = Meaning::Bytes(data.slice().to_vec());
                return Ok(());
            }
            ref other => self.binary(other)?,
        };
        self.push(value)
    }

    fn binary(&mut self, operation: &Operation<Reader<'_>>) -> Result<u64, Unreadable> {
        type Two = fn(u64, u64) -> u64;
        let apply: Two = match operation {
            Operation::And => |a, b| a & b,
            Operation::Or => |a, b| a | b,
            Operation::Xor => |a, b| a ^ b,
            Operation::Plus => u64::wrapping_add,
            Operation::Minus => u64::wrapping_sub,
            Operation::Mul => u64::wrapping_mul,
            Operation::Shl => |a, b| u32::try_from(b).map_or(0, |b| a.checked_shl(b).unwrap_or(0)),
            Operation::Shr => |a, b| u32::try_from(b).map_or(0, |b| a.checked_shr(b).unwrap_or(0)),
            Operation::Eq => |a, b| u64::from(a == b),
            Operation::Ne => |a, b| u64::from(a != b),
            // Comparisons and divisions are signed, and how wide their operands are is not known.
            // Values of the caller at its entry, registers, and jumps are not there either.
            Operation::EntryValue { .. } => return Err(Unreadable::OptimisedAway),
            _ => return Err(Unreadable::Unsupported),
        };
        let (right, left) = (self.pop()?, self.pop()?);
        Ok(apply(left, right))
    }

    fn push(&mut self, value: u64) -> Result<(), Unreadable> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(Unreadable::Malformed);
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<u64, Unreadable> {
        self.stack.pop().ok_or(Unreadable::Malformed)
    }
}

fn known(bytes: &[u8]) -> Vec<Option<u8>> {
    bytes.iter().copied().map(Some).collect()
}

/// The number of up to eight bytes, the lowest first.
pub(super) fn number(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    let size = bytes.len().min(8);
    all[..size].copy_from_slice(&bytes[..size]);
    u64::from_le_bytes(all)
}

#[cfg(test)]
mod tests {
    use gimli::{EndianSlice, Format, LittleEndian};

    use super::*;

    const ENCODING: Encoding = Encoding { address_size: 4, format: Format::Dwarf32, version: 4 };

    fn bytes(values: &[u8]) -> Place {
        Place::Bytes(known(values))
    }

    #[test]
    fn expressions_say_where_values_are() {
        let memory: Vec<u8> = (0..64).collect();
        let frame = Frame::test(&[7, 0x1_0000_0002, 16], &[40], &[9], &memory);
        for (expression, expected) in [
            (&[0x91, 0x08][..], Place::Memory(24)),
            (&[0x91, 0x7c], Place::Memory(12)),
            (&[0xed, 0, 0, 0x9f], bytes(&[7, 0, 0, 0, 0, 0, 0, 0])),
            (&[0xed, 0, 1, 0x9f], bytes(&[2, 0, 0, 0, 1, 0, 0, 0])),
            (&[0xed, 1, 0], Place::Memory(40)),
            (&[0xed, 3, 0, 0, 0, 0, 0x23, 2], Place::Memory(42)),
            (&[0xed, 2, 0, 0x9f], bytes(&[9, 0, 0, 0, 0, 0, 0, 0])),
            (&[0x08, 0xff, 0x08, 0x0f, 0x1a, 0x9f], bytes(&[15, 0, 0, 0, 0, 0, 0, 0])),
            (&[0xed, 0, 2, 0x06], Place::Memory(0x1312_1110)),
            (&[0x9e, 2, 5, 6], bytes(&[5, 6])),
            (
                &[0xed, 0, 0, 0x9f, 0x93, 2, 0x93, 1, 0x91, 0, 0x93, 2],
                Place::Bytes(vec![Some(7), Some(0), None, Some(16), Some(17)]),
            ),
            (&[], Place::Gone(Unreadable::OptimisedAway)),
            (&[0xed, 0, 99, 0x9f], Place::Gone(Unreadable::OptimisedAway)),
            (&[0x9f], Place::Gone(Unreadable::Malformed)),
            (&[0x50], Place::Gone(Unreadable::Unsupported)),
            (&[0x2f, 0xfd, 0xff], Place::Gone(Unreadable::Unsupported)),
            (&[0x93, 0xff, 0xff, 0xff, 0x7f], Place::Gone(Unreadable::Malformed)),
        ] {
            let expression = Expression(EndianSlice::new(expression, LittleEndian));
            let found = evaluate((expression, ENCODING), &frame, Some(16));
            assert_eq!(found, expected, "{expression:x?}");
        }
    }
}
