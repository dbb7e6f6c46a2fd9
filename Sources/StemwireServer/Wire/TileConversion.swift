import StemwireAcquisition
import StemwireProtocol
import StemwireSystem

extension WireTile {
    /// The header of a tile; the checksum is left out.
    init(_ tile: Tile, of start: AcquisitionDescription, format: WireFrameFormat) {
        self.init()
        acquisition = .init(start.id.bytes)
        generation = tile.generation
        firstPosition = UInt64(tile.firstPosition)
        count = UInt32(tile.count)
        partition = UInt32(tile.partition)
        self.format = format
        stride = UInt64(tile.stride)
        headerOffset = UInt64(Tile.prefixBytes)
        pixelOffset = UInt64(Tile.prefixBytes + tile.dataOffset)
        payloadBytes = UInt64(tile.bytes.count)
        receivedAt = WallClock.nanoseconds()
        navShape = start.navShape.wire
    }
}

extension WireFramesInMemory {
    init(_ tile: Tile, at place: FramePlace) {
        self.init()
        firstPosition = UInt64(tile.firstPosition)
        count = UInt32(tile.count)
        offset = UInt64(place.offset)
        slot = UInt32(place.slot)
        filling = place.filling
    }
}

extension WireEnd {
    /// - Parameter record: what the server knows of the acquisition; nil when no good frame came, or it is kept no more.
    init(_ summary: AcquisitionSummary, record: AcquisitionRecord?) {
        self.init()
        acquisition = .init(summary.id.bytes)
        generation = summary.generation
        reason = summary.reason.rawValue
        accounting = WireAccounting(summary.accounting)
        seconds = summary.duration / .seconds(1)
        navShape = summary.navShape?.wire ?? []
        let progress = record?.runs.map { $0.progress() } ?? []
        framesProcessed = UInt64(progress.map(\.processed).min() ?? 0)
        framesFailed = UInt64(progress.map(\.failedFrames).max() ?? 0)
        results = (record?.runs ?? []).flatMap { run in
            run.channels.map { channel in
                var result = WireResultName()
                (result.run, result.udf, result.channel) = (run.name, channel.udf, channel.name)
                return result
            }
        }
    }
}
