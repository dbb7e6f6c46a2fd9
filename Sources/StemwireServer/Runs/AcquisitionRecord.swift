import StemwireAcquisition
import StemwireKernels
import StemwireUDF
import Synchronization

/// One acquisition as the server knows it: how it began, the runs on it, how it ended.
package final class AcquisitionRecord: Sendable {
    package let description: AcquisitionDescription
    let meta: UDFMeta?
    private let state: Mutex<State>

    private struct State: Sendable {
        var runs: [ActiveRun]
        var summary: AcquisitionSummary?
        var lanesAtWork: Int
    }

    /// - Parameter lanes: the threads that each will report `laneFinished()`.
    init(_ description: AcquisitionDescription, lanes: Int) {
        self.description = description
        meta = try? UDFMeta(
            navShape: description.navShape.dimensions, sigShape: description.sigShape,
            inputDType: DType(description.format.decodedPixel), framesPerPartition: description.framesPerPartition)
        state = Mutex(State(runs: [], lanesAtWork: lanes))
    }

    package var runs: [ActiveRun] { state.withLock { $0.runs } }
    /// Set once the source said that the acquisition ended.
    package var summary: AcquisitionSummary? { state.withLock { $0.summary } }
    /// Whether the acquisition ended and all its frames have been worked on.
    package var isDrained: Bool { state.withLock { $0.summary != nil && $0.lanesAtWork == 0 } }

    /// The runs beyond the first `known`.
    func runs(beyond known: Int) -> ArraySlice<ActiveRun> { state.withLock { $0.runs.dropFirst(known) } }

    func add(_ run: ActiveRun) { state.withLock { $0.runs.append(run) } }

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
}
