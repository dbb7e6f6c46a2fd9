import Glibc

/// Small files that nobody but their owner may read, such as keys.
public enum PrivateFile {
    /// Reads a text file.
    ///
    /// - Parameters:
    ///   - limit: bytes; a larger file is refused.
    ///   - isSecret: refuses a file that others may read or write.
    /// - Throws: `PrivateFileError`.
    public static func read(
        _ path: String, limit: Int = 1 << 20, isSecret: Bool = true
    ) throws(PrivateFileError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(SystemError(operation: "open", subject: path)) }
        defer { close(descriptor) }
        var attributes = stat()
        guard fstat(descriptor, &attributes) == 0 else {
            throw .system(SystemError(operation: "stat", subject: path))
        }
        // A pipe, as of a shell's <(…), is nobody else's.
        if isSecret, attributes.st_mode & S_IFMT == S_IFREG, attributes.st_mode & 0o077 != 0 {
            throw .open(path, mode: attributes.st_mode & 0o777)
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(SystemError(operation: "read", subject: path)) }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= limit else { throw .tooLarge(path, limit: limit) }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .noText(path) }
        return text
    }

    /// Puts a file of mode 0600 in place, all of it or none: a reader finds the old one or the new one.
    ///
    /// - Parameter isNew: refuses to replace one.
    /// - Throws: `PrivateFileError`.
    public static func write(_ text: String, to path: String, isNew: Bool = false) throws(PrivateFileError) {
        let temporary = "\(path).\(getpid()).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(SystemError(operation: "create", subject: temporary)) }
        defer { unlink(temporary) }
        var rest = Array(text.utf8)[...]
        var failure: SystemError?
        while !rest.isEmpty, failure == nil {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0 { failure = SystemError(operation: "write", subject: temporary) }
            rest = rest.dropFirst(max(0, count))
        }
        if failure == nil, fsync(descriptor) != 0 { failure = SystemError(operation: "sync", subject: temporary) }
        close(descriptor)
        if let failure { throw .system(failure) }
        // A link, unlike a renaming, fails when the name is taken.
        let result = isNew ? link(temporary, path) : rename(temporary, path)
        guard result == 0 else {
            throw errno == EEXIST ? .exists(path) : .system(SystemError(operation: "make", subject: path))
        }
    }
}

/// Why a file of keys cannot be used.
public enum PrivateFileError: Error, Sendable, CustomStringConvertible {
    case system(SystemError)
    /// Others than its owner may read or write it.
    case open(String, mode: UInt32)
    case tooLarge(String, limit: Int)
    case noText(String)
    case exists(String)

    /// Whether there is no such file.
    public var isMissing: Bool { if case .system(let error) = self { error.code == ENOENT } else { false } }

    public var description: String {
        switch self {
        case .system(let error): error.description
        case .open(let path, let mode):
            "\(path) has mode \(String(mode, radix: 8)), so that others on this machine can read or change it: chmod 600 \(path)"
        case .tooLarge(let path, let limit): "\(path) is larger than \(limit) bytes"
        case .noText(let path): "\(path) is no text"
        case .exists(let path): "\(path) is there already"
        }
    }
}
