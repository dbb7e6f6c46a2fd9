import Glibc
import StemwireSystem

/// The folder of the ipc sockets: who may enter it may connect.
package enum IPCDirectory {
    /// Makes it, for its owner alone, if it is not there; one that is there keeps its mode.
    package static func prepare(_ path: String?) throws(SystemError) {
        guard let path, mkdir(path, 0o700) != 0 else { return }
        guard errno == EEXIST else { throw SystemError(operation: "make", subject: path) }
        var attributes = stat()
        guard stat(path, &attributes) == 0, attributes.st_mode & S_IFMT == S_IFDIR else {
            throw SystemError(operation: "enter", code: ENOTDIR, subject: path)
        }
        guard attributes.st_mode & 0o007 == 0 else {
            throw SystemError(
                operation: "use (others than its group may enter it: chmod o= it)", code: EPERM, subject: path)
        }
    }
}
