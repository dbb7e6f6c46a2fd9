import StemwireKernels
import StemwireProtocol
import StemwireUDF

// What UDFs know, in the words of the wire.

extension WireArrayHeader {
    /// The header of an array that travels beside it.
    init(_ array: ResultArray, purpose: ArrayPurpose, udf: String = "", name: String) {
        self.init()
        self.purpose = purpose.rawValue
        self.udf = udf
        self.name = name
        dtype = array.dtype.rawValue
        shape = array.shape.map { UInt32(clamping: $0) }
        checksum = array.withUnsafeBytes(Checksum.xxh3)
    }

    /// The header of a set of scan positions that travels beside it as one bit for each.
    init(_ positions: [UInt8], udf: String, name: String) {
        self.init()
        purpose = ArrayPurpose.roi.rawValue
        self.udf = udf
        self.name = name
        shape = [UInt32(clamping: positions.count)]
        checksum = positions.withUnsafeBytes(Checksum.xxh3)
    }
}

/// The words of `ArrayHeader.purpose` that a worker knows.
enum ArrayPurpose: String {
    case roi, dark, gain, excluded, auxiliary, buffer
}

extension WireResultSection {
    init(_ section: PartitionResult.Section, arrays: some Collection<ResultArray>) {
        self.init()
        udf = section.udf
        contentHash = section.contentHash
        positions = section.positions.map { range in
            var wire = WirePositionRange()
            wire.first = UInt64(range.lowerBound)
            wire.count = UInt64(range.count)
            return wire
        }
        buffers = zip(section.buffers, arrays).map { header, array in
            WireArrayHeader(array, purpose: .buffer, udf: section.udf, name: header.name)
        }
    }
}

extension WirePlannedUdf {
    init(_ planned: PlannedUDF) {
        self.init()
        id = planned.id
        name = planned.name
        version = UInt32(clamping: planned.version)
        contentHash = planned.contentHash
        order = planned.order.rawValue
        buffers = planned.declarations.map(WireBufferDeclaration.init)
    }
}

extension WireBufferDeclaration {
    init(_ declaration: BufferDeclaration) {
        self.init()
        name = declaration.name
        kind = declaration.kind.rawValue
        dtype = declaration.dtype.rawValue
        extraShape = declaration.extraShape.map { UInt32(clamping: $0) }
        use = declaration.use.rawValue
        merge = declaration.merge.rawValue
    }
}

extension UDFRequest {
    /// The request as it came over the wire; ids and values are checked when the run is planned.
    init(_ request: WireUdfRequest) {
        self.init(
            id: request.id.isEmpty ? nil : request.id, name: request.name,
            parameters: request.parameters.mapValues { .text($0) })
    }
}
