import Glibc
import StemwireClient
import StemwireProtocol
import StemwireSystem

/// Settings of a worker; the defaults are meant to be right.
public struct WorkerConfiguration: Sendable {
    /// The server's work socket: `tcp://HOST[:7402]`, or `ipc://PATH` on the same machine.
    public var endpoint: String
    /// Partitions that are worked on at the same time, each by one thread.
    public var threads: Int
    /// Name for people, in the server's status and log.
    public var name: String
    /// Bytes of frames that the server may have sent and are not worked on yet. (A quarter of the machine's memory, at most
    /// 256 MiB.)
    public var memoryBytes: Int
    /// For how long there may be no server, at first and after each loss; nil: for ever.
    public var connectTimeout: Duration?
    /// Whether frames are compared with their checksums; nil: unless the server is on this machine, where no network
    /// changes them.
    public var verifiesChecksums: Bool?
    /// A file that is touched with each sign of life from the server, and once a second while there is none; nil for none.
    /// When it grows old, this process hangs, or the server has fallen silent and nobody has noticed.
    public var aliveFile: String?
    /// What proves who the worker is, with the role worker; nil for a server that asks nobody.
    public var token: AccessToken?

    /// - Parameter endpoint: The server's work socket.
    public init(endpoint: String) {
        self.endpoint = endpoint
        threads = Machine.processors
        name = "\(Machine.hostName)/\(getpid())"
        memoryBytes = min(256 << 20, Machine.memoryBytes / 4)
    }

    /// Items that the worker holds: one for each thread to work on, one that fills meanwhile, and one to spare.
    var items: Int { 2 * threads + 1 }

    func check() throws(WorkerError) {
        guard (1...1024).contains(threads) else {
            throw .badSetting("\(threads) threads; 1 to 1024 are possible")
        }
        guard memoryBytes >= 1 << 20 else {
            throw .badSetting("\(memoryBytes) bytes of memory for frames; at least 1 MiB is needed")
        }
        guard (1...WireLimits.identifierBytes).contains(name.utf8.count) else {
            throw .badSetting("the name has \(name.utf8.count) bytes; 1 to \(WireLimits.identifierBytes) are possible")
        }
        if let connectTimeout, connectTimeout <= .zero { throw .badSetting("the connect timeout is not above zero") }
    }
}

/// Why a worker does not work, or works no more.
public enum WorkerError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A setting that cannot be.
    case badSetting(String)
    /// There was no server for longer than the connect timeout.
    case unreachable(String, after: Duration, why: String)
    /// The server will never take this worker.
    case refused(String, why: String)
    /// This machine has no socket or thread to give.
    case system(String)

    public var description: String {
        switch self {
        case .badSetting(let what): what
        case .unreachable(let endpoint, let duration, let why):
            """
            no server at \(endpoint) for \(duration): \(why). Check that `stemwire serve` runs there, the host name, the \
            work port (default 7402), and that the server was bound to an address that can be reached from here (--bind)
            """
        case .refused(let endpoint, let why):
            "the server at \(endpoint) does not take this worker: \(why). Update the older of the two"
        case .system(let why): "this machine cannot run the worker: \(why)"
        }
    }
}
