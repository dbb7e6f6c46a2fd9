import Glibc
import StemwireSystem

/// A file whose time of change says when its process was last seen to be at work, for a probe that looks from outside.
///
/// Owned by one thread.
struct AliveFile {
    /// Opened anew for each touch, so that a file that somebody removed comes back.
    private let path: String

    /// Makes the file.
    init(_ path: String) throws(SystemError) {
        self.path = path
        guard let error = Self.touch(path) else { return }
        throw error
    }

    /// What fails now shows in the file's age.
    func touch() { _ = Self.touch(path) }

    private static func touch(_ path: String) -> SystemError? {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard file >= 0 else { return SystemError(operation: "open") }
        defer { close(file) }
        return futimens(file, nil) == 0 ? nil : SystemError(operation: "touch")
    }
}
