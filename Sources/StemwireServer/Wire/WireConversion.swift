import MerlinProtocol
import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireWire

// What the rooms below know, in the words of the wire.

extension WireFrameFormat {
    init(_ format: FrameFormat) {
        self.init()
        pixelType = format.pixelType.rawValue
        counterDepth = UInt32(format.counterDepth?.rawValue ?? 0)
        layout = format.layout.description
        headerWidth = UInt32(format.headerWidth)
        headerHeight = UInt32(format.headerHeight)
        chipCount = UInt32(format.chipCount)
        dataOffset = UInt32(format.dataOffset)
        payloadBytes = UInt64(format.payloadBytes)
        sigShape = [UInt32(format.sigShape.height), UInt32(format.sigShape.width)]
        dtype = DType(format.decodedPixel).rawValue
    }
}

extension WireAccounting {
    init(_ accounting: Accounting) {
        self.init()
        expected = UInt64(accounting.expected)
        placed = UInt64(accounting.placed)
        missing = UInt64(accounting.missing)
        rejected = UInt64(accounting.rejected)
        duplicates = UInt64(accounting.duplicates)
        strays = UInt64(accounting.strays)
        leadInFrames = UInt64(accounting.leadInFrames)
        flybackFrames = UInt64(accounting.flybackFrames)
        tailFrames = UInt64(accounting.tailFrames)
        malformed = UInt64(accounting.malformed)
        garbageBytes = UInt64(accounting.garbageBytes)
        otherMessages = UInt64(accounting.otherMessages)
        droppedByRingFull = UInt64(accounting.droppedByRingFull)
        missingRanges = accounting.missingRanges.prefix(WireLimits.missingRanges).map { WirePositionRange($0) }
        rejectedRanges = accounting.rejectedRanges.map { WirePositionRange($0) }
        duplicateRanges = accounting.duplicateRanges.map { WirePositionRange($0) }
        missingRangesTruncated = accounting.missingRanges.count > WireLimits.missingRanges
        limitRanges(to: WireLimits.missingRanges)
    }

    mutating func limitRanges(to count: Int) {
        missingRangesTruncated = missingRangesTruncated || missingRanges.count > count
        otherRangesTruncated = otherRangesTruncated || max(rejectedRanges.count, duplicateRanges.count) > count
        missingRanges = Array(missingRanges.prefix(count))
        rejectedRanges = Array(rejectedRanges.prefix(count))
        duplicateRanges = Array(duplicateRanges.prefix(count))
    }
}

extension WireStart {
    init(_ description: AcquisitionDescription) {
        self.init()
        acquisition = .init(description.id.bytes)
        generation = description.generation
        navShape = description.navShape.wire
        framesExpected = UInt64(description.framesExpected)
        format = WireFrameFormat(description.format)
        framesPerPartition = UInt32(description.framesPerPartition)
        acquisitionHeader = .init(description.headerText)
        startedAt = UInt64(max(0, description.startedAt) * 1e9)
    }
}

extension NavShape {
    /// Axis lengths as the wire has them, slow axis first.
    var wire: [UInt32] { dimensions.map { UInt32(clamping: $0) } }
}
