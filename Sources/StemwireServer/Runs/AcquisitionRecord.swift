import StemwireAcquisition
import StemwireKernels
import StemwireSystem
import StemwireUDF

/// One acquisition as the server knows it: how it began, the runs on it, how it ended.
package final class AcquisitionRecord: Sendable {
    package let description: AcquisitionDescription
    let meta: UDFMeta?
    private let state: Locked<State>
    /// Positions whose frames have been handed on.
    private let received: Locked<PositionSet>

    private struct State: Sendable {
        var runs: [ActiveRun]
        var summary: AcquisitionSummary?
        var lanesAtWork: Int
        var newestReceived: Int?
    }

    /// - Parameter lanes: the threads that each will report `laneFinished()`.
    init(_ description: AcquisitionDescription, lanes: Int) {
        self.description = description
        meta = try? UDFMeta(
            navShape: description.navShape.dimensions, sigShape: description.sigShape,
            inputDType: DType(description.format.decodedPixel), framesPerPartition: description.framesPerPartition)
        state = Locked(State(runs: [], lanesAtWork: lanes))
        received = Locked(PositionSet(size: description.framesExpected))
    }

    package var runs: [ActiveRun] { state.withLock { $0.runs } }
    /// Set once the source said that the acquisition ended.
    package var summary: AcquisitionSummary? { state.withLock { $0.summary } }
    /// Whether the acquisition ended and all its frames have been worked on.
    package var isDrained: Bool { state.withLock { $0.summary != nil && $0.lanesAtWork == 0 } }

    /// The runs beyond the first `known`.
    func runs(beyond known: Int) -> ArraySlice<ActiveRun> { state.withLock { $0.runs.dropFirst(known) } }

    /// Adds a run; false when the acquisition is over, so that it would get no frame.
    func add(_ run: ActiveRun) -> Bool {
        state.withLock { state in
            guard state.summary == nil else { return false }
            state.runs.append(run)
            return true
        }
    }

    func ended(_ summary: AcquisitionSummary) { state.withLock { $0.summary = summary } }

    /// A thread has worked on all its frames. True for the last one; the results are final then.
    func laneFinished() -> Bool {
        let runs = state.withLock { state -> [ActiveRun]? in
            state.lanesAtWork -= 1
            return state.lanesAtWork == 0 ? state.runs : nil
        }
        guard let runs else { return false }
        for run in runs { run.finish() }
        return true
    }

    /// Frames have been handed on.
    func noteReceived(_ positions: Range<Int>) {
        received.withLock { _ = $0.insert(positions) }
        state.withLock { $0.newestReceived = positions.upperBound - 1 }
    }

    /// The position whose frame was handed on last.
    var newestReceived: Int? { state.withLock { $0.newestReceived } }

    /// How many frames at a run's positions have been handed on.
    func receivedCount(of run: ActiveRun) -> Int {
        received.withLock { received in
            guard let roi = run.roi, roi.size == received.size else { return received.count }
            return received.intersection(roi).count
        }
    }

    /// Why frames that the ring does not hold cannot be had: the reason for the first of `positions`, and where it ends
    /// to hold.
    func absence(from positions: Range<Int>) -> (end: Int, reason: FetchPeer.Unavailable) {
        if let accounting = summary?.accounting {
            let absent = [accounting.missingRanges, accounting.rejectedRanges].compactMap { ranges in
                ranges.firstReaching(beyond: positions.lowerBound)
            }
            if let range = absent.first(where: { $0.contains(positions.lowerBound) }) {
                return (min(range.upperBound, positions.upperBound), .missing)
            }
            return (absent.map(\.lowerBound).reduce(positions.upperBound, min), .released)
        }
        return received.withLock { received in
            let hasCome = received.contains(positions.lowerBound)
            // As far as one turn may look.
            let end = min(positions.upperBound, positions.lowerBound + 16_384)
            let run = received.endOfRun(from: positions.lowerBound, below: end)
            return (run, hasCome ? .released : .pending)
        }
    }
}

extension [Range<Int>] {
    /// Of ranges in rising order: the first that ends behind `position`.
    fileprivate func firstReaching(beyond position: Int) -> Range<Int>? {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].upperBound <= position { low = middle + 1 } else { high = middle }
        }
        return low < count ? self[low] : nil
    }
}

extension PositionSet {
    /// Where the stretch that begins at `start`, all in the set or all outside it, ends.
    fileprivate func endOfRun(from start: Int, below end: Int) -> Int {
        let isIn = contains(start)
        var position = start + 1
        while position < end, contains(position) == isIn { position += 1 }
        return position
    }
}
