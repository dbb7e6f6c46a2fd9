import StemwireSystem
import StemwireUDF

/// User code at the turning points of an acquisition. What a hook throws ends the run and reaches its caller.
///
/// Hooks are called one after the other, on Swift's cooperative pool: they may wait with `await`, and must not block.
public struct AcquisitionHooks: Sendable {
    /// Called first. The detector's control can be used; its data socket is not connected yet.
    public var onSetUp: (@Sendable (AcquisitionSession) async throws -> Void)?

    /// Active acquisitions only: called once, when the data socket is connected and the UDFs wait. The detector is to be
    /// armed and triggered here, or whatever starts the scan. Nil: it is armed and triggered as the acquisition says.
    public var onReadyForData: (@Sendable (AcquisitionSession) async throws -> Void)?

    /// Asked for the nav shape when the number of frames is known and the shape was not given in full; nil goes on
    /// with the usual rules. All lengths must be at least 1, and their product the number of frames; else the frames are
    /// given as one line, with a warning in the outcome. The detector waits meanwhile, ten seconds at most. With a server,
    /// asked when the run arms the detector; the number of frames is then what the detector is set to.
    public var onDetermineNavShape: (@Sendable (NavShapeQuestion) async -> [Int]?)?

    /// Called last, however the run ended, also when its task was cancelled; the connection to the data is closed then,
    /// control is not to be used any more.
    public var onAcquisitionDone: (@Sendable (AcquisitionSession, Result<RunOutcome, any Error>) async -> Void)?

    public init(
        onSetUp: (@Sendable (AcquisitionSession) async throws -> Void)? = nil,
        onReadyForData: (@Sendable (AcquisitionSession) async throws -> Void)? = nil,
        onDetermineNavShape: (@Sendable (NavShapeQuestion) async -> [Int]?)? = nil,
        onAcquisitionDone: (@Sendable (AcquisitionSession, Result<RunOutcome, any Error>) async -> Void)? = nil
    ) {
        self.onSetUp = onSetUp
        self.onReadyForData = onReadyForData
        self.onDetermineNavShape = onDetermineNavShape
        self.onAcquisitionDone = onAcquisitionDone
    }

    /// The nav shape hook for the receiver, whose thread waits for the answer.
    var blockingNavShape: (@Sendable (Int, [Int]?) -> [Int]?)? {
        guard let onDetermineNavShape else { return nil }
        return { frames, hint in
            let answer = Locked<[Int]?>(nil)
            let isAnswered = CountingSemaphore()
            let asking = Task {
                let shape = await onDetermineNavShape(NavShapeQuestion(frameCount: frames, hint: hint))
                answer.value = shape
                isAnswered.post()
            }
            if !isAnswered.wait(timeout: .seconds(10)) { asking.cancel() }
            return answer.value
        }
    }
}

/// What is known when the nav shape is asked for.
public struct NavShapeQuestion: Sendable, Hashable {
    /// Frames that the detector announced, lead-in, fly-back and tail included.
    public let frameCount: Int
    /// The shape that was given, slow axis first, with −1 where it is open; nil if none was.
    public let hint: [Int]?
}

/// The user's code around an acquisition: see `LiveContext.prepareAcquisition`.
public typealias PreparationBody =
    @Sendable (_ acquisition: AcquisitionSession, _ udfs: [UDFRequest]) async throws -> Void
