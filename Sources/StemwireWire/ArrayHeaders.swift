import StemwireKernels
import StemwireProtocol
import StemwireUDF

extension WireArrayHeader {
    /// The header of an array that travels beside it.
    package init(_ array: ResultArray, purpose: ArrayPurpose, udf: String = "", name: String = "") {
        self.init()
        self.purpose = purpose.rawValue
        self.udf = udf
        self.name = name
        dtype = array.dtype.rawValue
        shape = array.shape.map { UInt32(clamping: $0) }
        checksum = array.withUnsafeBytes(Checksum.xxh3)
    }

    /// The header of a set of scan positions that travels beside it as one bit for each.
    package init(_ positions: [UInt8], udf: String, name: String) {
        self.init()
        purpose = ArrayPurpose.roi.rawValue
        self.udf = udf
        self.name = name
        shape = [UInt32(clamping: positions.count)]
        checksum = positions.withUnsafeBytes(Checksum.xxh3)
    }
}

/// The words of `ArrayHeader.purpose`.
package enum ArrayPurpose: String, Sendable, CaseIterable {
    case roi, dark, gain, excluded, auxiliary, buffer
}
