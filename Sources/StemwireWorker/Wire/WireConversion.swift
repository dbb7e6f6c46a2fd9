import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire

// What UDFs know, in the words of the wire.

extension WireResultSection {
    init(_ section: PartitionResult.Section, arrays: some Collection<ResultArray>) {
        self.init()
        udf = section.udf
        contentHash = section.contentHash
        positions = section.positions.map(WirePositionRange.init)
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
