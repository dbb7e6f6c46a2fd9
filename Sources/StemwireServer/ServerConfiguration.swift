import StemwireAcquisition
import StemwireProtocol
import StemwireUDF

/// How an acquisition server is set up.
public struct ServerConfiguration: Sendable {
    /// The name of the detector in topics.
    public var sourceName = "merlin"
    /// Where the detector's two sockets are.
    public var detectorHost = "127.0.0.1"
    public var detectorControlPort = 6341
    public var detectorDataPort = 6342

    /// The address to listen at.
    public var bindHost = "127.0.0.1"
    /// Ports to listen on; 0 takes a free one.
    public var controlPort = 7400
    public var livePort = 7401
    public var workPort = 7402
    /// Allows an address other than loopback, without encryption or a list of who may come in.
    public var allowsInsecure = false
    /// Who may come in, and how many.
    public var trust = TrustConfiguration()

    /// Bytes of frames kept in memory.
    public var ringBytes = 256 << 20
    /// The share of the ring that live subscribers' queues may pin.
    public var liveShare = 0.25
    /// What to do when the ring is full.
    public var whenRingIsFull = RingFullPolicy.wait
    /// The shape of the scan, slow axis first, with at most two −1; nil: from the detector.
    public var navShape: [Int]?
    /// Declared frames that are no scan positions.
    public var margins = ScanMargins()
    /// Silence after which an acquisition ends.
    public var idleLimit = Duration.seconds(2)
    /// Scan positions in a partition; nil: whole scan lines, about 256 positions, of at most 32 MiB
    /// and an eighth of the ring.
    public var framesPerPartition: Int?

    /// Threads of the server that run UDFs; 0 leaves all of it to workers.
    public var threads = 1
    /// Bytes of frames kept in a file when the ring is short, so that work can be done again; 0 for none.
    public var spoolBytes = 0
    /// Where that file is made; nil: the system's directory for temporary files.
    public var spoolDirectory: String?
    /// What happens when neither ring nor spool has room for frames that are still to be worked on.
    public var whenProcessingIsBehind = StoreFullPolicy.backPressure
    /// How often workers get a sign of life, and how long one may be silent before it counts as dead.
    public var workerBeatInterval = Duration.seconds(1)
    public var workerSilenceLimit = Duration.seconds(3)
    /// UDFs that run on every acquisition.
    public var udfs: [UDFRequest] = []
    /// What is done to every frame before any UDF sees it, in all runs; nil for nothing.
    public var corrections: Corrections?
    /// The UDFs there are.
    public var registry = UDFRegistry.builtIn
    /// Result updates a second, at most, for each channel.
    public var updatesPerSecond = 20.0
    /// Whether tiles and results carry a checksum.
    public var sendsChecksums = true

    /// Ended acquisitions that are kept with their results, and their frames as far as memory lasts.
    public var keptAcquisitions = 2
    /// The SQLite file in which acquisitions are remembered; nil: they are not.
    public var historyFile: String?
    /// Workers that may die over a partition before it is given up.
    public var quarantineDeaths = 3

    public init() {}
}

extension ServerConfiguration {
    /// - Throws: `ServerError` that names the setting.
    func check() throws(ServerError) {
        guard Topic.isValidSegment(sourceName) else {
            throw .badSetting("source name", "\"\(sourceName)\" may have letters, digits, '.', '_' and '-' only")
        }
        for (name, port) in [("control port", controlPort), ("live port", livePort), ("work port", workPort)]
        where !(0...65535).contains(port) {
            throw .badSetting(name, "\(port) is not a port number (0 to 65535)")
        }
        if let problem = trust.problem(bindHost: bindHost, allowsInsecure: allowsInsecure) {
            throw .badSetting(problem.setting, problem.why)
        }
        guard ringBytes >= 8 << 20 else {
            throw .badSetting("ring", "\(ringBytes >> 20) MiB is too little for frames; 8 MiB is the least")
        }
        guard (0...256).contains(threads) else {
            throw .badSetting("threads", "\(threads) threads; 0 to 256 are possible")
        }
        guard quarantineDeaths > 0 else { throw .badSetting("quarantine deaths", "\(quarantineDeaths); at least 1") }
        guard WireLimits.window.contains(keptAcquisitions) else {
            throw .badSetting(
                "keep", "\(keptAcquisitions) acquisitions; 1 to \(WireLimits.window.upperBound) are possible")
        }
        guard spoolBytes >= 0 else { throw .badSetting("spool", "\(spoolBytes) bytes") }
        guard (.milliseconds(20)...Duration.seconds(60)).contains(workerBeatInterval) else {
            throw .badSetting("worker beat interval", "\(workerBeatInterval); 20 ms to a minute are possible")
        }
        guard workerSilenceLimit >= workerBeatInterval * 2 else {
            throw .badSetting(
                "worker silence limit",
                "\(workerSilenceLimit) is less than twice the \(workerBeatInterval) between two signs of life: one that is "
                    + "late would count as a death")
        }
        if let navShape {
            do throws(NavShapeError) {
                guard !navShape.contains(-1) else { return }
                _ = try NavShape(navShape)
            } catch {
                throw .badSetting("nav shape", error.description)
            }
        }
    }
}
