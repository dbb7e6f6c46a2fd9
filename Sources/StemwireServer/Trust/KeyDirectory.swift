import Glibc
import StemwireProtocol
import StemwireSystem
import ZeroMQ

/// A folder with a server's keys: `server.key`, its own pair, and `allow.list`, who may come in.
public struct KeyDirectory: Sendable, Hashable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// `$STEMWIRE_KEYS`, or `stemwire` in the user's folder for settings.
    public static var standard: KeyDirectory {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        if let path = variable("STEMWIRE_KEYS") { return KeyDirectory(path) }
        let settings = variable("XDG_CONFIG_HOME") ?? (variable("HOME") ?? "") + "/.config"
        return KeyDirectory(settings + "/stemwire")
    }

    var serverKeyPath: String { path + "/server.key" }
    var allowListPath: String { path + "/allow.list" }

    /// Whether there is a server key.
    public var isThere: Bool { access(serverKeyPath, F_OK) == 0 }

    // MARK: The server's own pair

    /// Makes the folder (mode 0700), a new pair (0600) and an empty allow list where there is none.
    ///
    /// - Parameter replaces: puts a new pair in the place of one that is there: all tokens given out become worthless.
    public func create(replaces: Bool = false) throws(TrustError) -> CurvePublicKey {
        try make(path)
        let pair: CurveKeyPair
        do throws(ZMQError) {
            pair = try CurveKeyPair.generate()
        } catch {
            throw .library(error.description)
        }
        let text = """
            # The key pair of a Stemwire server. Whoever reads it can pretend to be the server.
            public \(pair.publicKey.z85)
            secret \(pair.secretKey.z85)

            """
        do throws(PrivateFileError) {
            try PrivateFile.write(text, to: serverKeyPath, isNew: !replaces)
            if access(allowListPath, F_OK) != 0 { try PrivateFile.write(AllowList().text, to: allowListPath) }
        } catch {
            if case .exists(let path) = error { throw .keyExists(path) }
            throw .file(error)
        }
        return pair.publicKey
    }

    private func make(_ path: String) throws(TrustError) {
        let parents = path.split(separator: "/").dropLast()
        var parent = path.hasPrefix("/") ? "" : "."
        for part in parents {
            parent += "/" + part
            if mkdir(parent, 0o755) != 0, errno != EEXIST {
                throw .file(.system(SystemError(operation: "make", subject: parent)))
            }
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .file(.system(SystemError(operation: "make", subject: path)))
        }
    }

    /// Reads the server's pair.
    public func serverKeys() throws(TrustError) -> CurveKeyPair {
        let text: String
        do throws(PrivateFileError) {
            text = try PrivateFile.read(serverKeyPath)
        } catch {
            throw error.isMissing ? .noKey(path) : .file(error)
        }
        for line in text.split(separator: "\n") where line.hasPrefix("secret ") {
            do throws(ZMQError) {
                return try CurveKeyPair(secretKey: try CurveSecretKey(z85: String(line.dropFirst("secret ".count))))
            } catch {
                throw .badKey(serverKeyPath, error.description)
            }
        }
        throw .badKey(serverKeyPath, "there is no line that begins with “secret ”")
    }

    // MARK: The allow list

    public func allowList() throws(TrustError) -> AllowList {
        do throws(PrivateFileError) {
            return AllowList(try PrivateFile.read(allowListPath, limit: 8 << 20, isSecret: false))
        } catch {
            throw .file(error)
        }
    }

    /// Changes the allow list, one process at a time.
    ///
    /// - Throws: `TrustError`; a list with unreadable lines is not changed.
    public func changeAllowList(
        _ change: (inout AllowList) throws(AllowListError) -> Void
    ) throws(TrustError) {
        let lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw .noKey(path) }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw .file(.system(SystemError(operation: "lock", subject: path))) }
        var list = try allowList()
        if let problem = list.problems.first { throw .badList(allowListPath, problem) }
        do throws(AllowListError) {
            try change(&list)
        } catch {
            throw .list(error)
        }
        do throws(PrivateFileError) {
            try PrivateFile.write(list.text, to: allowListPath)
        } catch {
            throw .file(error)
        }
    }

    /// What changes whenever the allow list does; nil when it is not there.
    var allowListState: FileState? { FileState(allowListPath) }
}

/// Tells one content of a file from another.
struct FileState: Sendable, Hashable {
    private let inode: UInt
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    init?(_ path: String) {
        var attributes = stat()
        guard stat(path, &attributes) == 0 else { return nil }
        inode = UInt(attributes.st_ino)
        size = Int(attributes.st_size)
        seconds = attributes.st_mtim.tv_sec
        nanoseconds = attributes.st_mtim.tv_nsec
    }
}

/// Why keys or the allow list cannot be used.
public enum TrustError: Error, Sendable, CustomStringConvertible {
    case noKey(String)
    case keyExists(String)
    case badKey(String, String)
    case badList(String, String)
    case list(AllowListError)
    case file(PrivateFileError)
    case library(String)

    public var description: String {
        switch self {
        case .noKey(let path): "there is no server key in \(path): make one with `stemwire keygen --keys \(path)`"
        case .keyExists(let path):
            "\(path) is there already; with --replace it gets a new key, and all tokens given out so far become worthless"
        case .badKey(let path, let why):
            "\(path) is no server key: \(why); make a new one with `stemwire keygen --replace`"
        case .badList(let path, let why): "\(path), \(why); mend or remove that line"
        case .list(let error): error.description
        case .file(let error): error.description
        case .library(let why): "libzmq has no CURVE: \(why)"
        }
    }
}
