/// What a simulator has done so far.
public struct SimulatorStatistics: Sendable, Hashable {
    /// Acquisitions that have ended; in a continuous one, repetitions of the source.
    public var runs = 0
    /// Frames sent, damaged ones and duplicates included.
    public var frames = 0
    /// Bytes sent on the data socket.
    public var bytes = 0
    /// Frames per second of the present acquisition, or of the last one; waits for triggers count.
    public var framesPerSecond = 0.0
    /// Pixels whose count was above the counter's limit and was sent as the limit.
    public var saturatedPixels = 0
    /// Connections to the control port beyond the two that a detector takes.
    public var refusedControlClients = 0
    /// Requests answered with an error code other than 0, unreadable ones included.
    public var refusedRequests = 0

    public init() {}
}

/// What a simulator tells whoever watches it.
public enum SimulatorEvent: Sendable, Hashable {
    case dataClientConnected(peer: String)
    case dataClientLeft(peer: String)
    case controlClientConnected(peer: String)
    /// Two are connected already.
    case controlClientRefused(peer: String)
    /// An acquisition begins; nil frames: until it is stopped.
    case acquisitionBegan(number: UInt64, frames: Int?)
    /// The acquisition's frames wait for a trigger.
    case waitingForTrigger
    case acquisitionEnded(number: UInt64, DetectorState.End)
    /// About four times a second while frames are sent.
    case progress(SimulatorStatistics)
    /// The simulator has ended by itself because of this.
    case failed(String)
}
