/// Sizes that a receiver refuses to go past, checked before memory is taken or a view made. Told in PROTOCOL.md.
public enum WireLimits {
    /// One request on the control socket.
    public static let controlRequestBytes = 64 << 10
    /// One array that comes with a request, all of them, and their number.
    public static let controlArrayBytes = 8 << 20
    public static let controlArraysBytes = 32 << 20
    public static let controlArrays = 16
    /// One header part on any socket.
    public static let headerBytes = 1 << 20
    /// One message from a lossless client on the work socket.
    public static let workRequestBytes = 64 << 10
    /// One part of a worker's message: a buffer of a partition's result.
    public static let resultPartBytes = 256 << 20
    /// What a subscriber may send to the live socket: a subscription with its topic.
    public static let subscriptionBytes = 512
    /// One payload part: a stack of frames or a result array.
    public static let payloadBytes = 1 << 30
    /// Parts of one message.
    public static let parts = 256
    /// Frames in one tile.
    public static let framesPerTile = 1 << 16
    /// Missing ranges that an accounting lists before it says that there are more.
    public static let missingRanges = 4096
    /// UDFs in one run, and the length of an id.
    public static let udfsPerRun = 64
    public static let identifierBytes = 128
    /// Settings of the detector in one request.
    public static let settings = 256
    /// Acquisitions in one answer about the history.
    public static let historyEntries = 200
    /// Ended acquisitions that a server can be asked to keep.
    public static let window = 1...64
    /// Runs that a server keeps at a time.
    public static let runs = 64
}
