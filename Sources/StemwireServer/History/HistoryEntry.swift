import Foundation
import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireWire

extension WireHistoryEntry {
    /// What there is to remember of an acquisition that has ended; its results too, once they are final.
    ///
    /// - Parameters:
    ///   - record: nil for one that ended before a good frame came.
    ///   - endedAt: nanoseconds since 1970.
    init(
        _ summary: AcquisitionSummary, _ record: AcquisitionRecord?, session: [UInt8], endedAt: UInt64,
        status: WireAcquisitionStatus
    ) {
        self.init()
        server = AcquisitionServer.version
        self.session = .init(session)
        self.endedAt = endedAt
        acquisition = status
        acquisition.accounting.limitRanges(to: 256)
        guard let record else { return }
        startedAt = UInt64(max(0, record.description.startedAt) * 1e9)
        acquisitionHeader = .init(record.description.headerText)
        dtype = DType(record.description.format.decodedPixel).rawValue
        runs = record.runs.map { WireHistoryRun($0, of: record) }
        files = record.runs.flatMap(\.requests).compactMap { Recording($0)?.uri }
    }
}

extension WireHistoryRun {
    fileprivate init(_ run: ActiveRun, of record: AcquisitionRecord) {
        self.init()
        self.run = run.name
        udfs = run.requests.map { WireUdfRequest($0) }
        run.computeResults()
        let state = run.snapshot()
        error = state.error ?? ""
        guard state.isFinal else { return }
        let received = record.receivedCount(of: run)
        results = state.channels.map { channel in
            var result = WireHistoryResult()
            (result.udf, result.channel, result.dtype) = (channel.udf, channel.name, channel.array.dtype.rawValue)
            result.shape = channel.array.shape.map { UInt32(clamping: $0) }
            result.manifest = WireManifest(state.manifest, received: received, of: channel.array)
            return result
        }
    }
}
