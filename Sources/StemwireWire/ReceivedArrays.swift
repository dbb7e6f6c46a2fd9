import StemwireKernels
import StemwireProtocol
import StemwireUDF
import ZeroMQ

/// Why arrays that came with a message are not used.
package struct ReceivedArrayError: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Arrays that came as payload parts, read in the order of their headers; sizes, types and checksums are checked before
/// memory is taken.
package struct ReceivedArrays {
    private var rest: ArraySlice<(header: WireArrayHeader, part: ReceivedPart)>

    package init(_ headers: [WireArrayHeader], parts: [ReceivedPart]) throws(ReceivedArrayError) {
        guard headers.count == parts.count else {
            throw ReceivedArrayError("\(headers.count) arrays are announced, \(parts.count) came")
        }
        for (header, part) in zip(headers, parts) {
            guard header.shape.count <= 8 else {
                throw ReceivedArrayError("the array \(header.name) has \(header.shape.count) axes; 8 are possible")
            }
            if header.checksum != 0, part.withUnsafeBytes(Checksum.xxh3) != header.checksum {
                throw ReceivedArrayError("the array \(header.name) changed on the way: its checksum does not fit")
            }
        }
        rest = zip(headers, parts).map { ($0, $1) }[...]
    }

    /// The header of the next array.
    package var next: WireArrayHeader? { rest.first?.header }

    /// Takes the next array as numbers.
    package mutating func takeArray() throws(ReceivedArrayError) -> ResultArray {
        let (header, part) = try take()
        guard let dtype = DType(rawValue: header.dtype) else {
            throw ReceivedArrayError("the array \(header.name) is of the unknown type \"\(header.dtype)\"")
        }
        let shape = header.shape.map(Int.init)
        let made = part.withUnsafeBytes { bytes in
            Result { () throws(ResultArrayError) in try ResultArray(dtype: dtype, shape: shape, bytes: bytes) }
        }
        switch made {
        case .success(let array): return array
        case .failure(let error): throw ReceivedArrayError("the array \(header.name): \(error)")
        }
    }

    /// Takes the next array as a set of scan positions, one bit for each.
    package mutating func takePositions(size: Int) throws(ReceivedArrayError) -> PositionSet {
        let (header, part) = try take()
        guard let positions = part.withUnsafeBytes({ PositionSet(bitmap: $0, size: size) }) else {
            throw ReceivedArrayError(
                "the set of positions \(header.name) has \(part.count) bytes, not \((size + 7) / 8) for \(size) positions, "
                    + "or others")
        }
        return positions
    }

    /// Takes the next array as the bytes that came.
    package mutating func takeBytes() throws(ReceivedArrayError) -> [UInt8] { try take().part.bytes }

    private mutating func take() throws(ReceivedArrayError) -> (header: WireArrayHeader, part: ReceivedPart) {
        guard let first = rest.popFirst() else { throw ReceivedArrayError("an array is missing") }
        return first
    }
}
