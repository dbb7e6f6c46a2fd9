import Foundation

/// Where the commands print: results on standard output, everything else on standard error.
enum Terminal {
    static let isInteractive = isatty(STDERR_FILENO) == 1
    static let showsPictures = isatty(STDOUT_FILENO) == 1

    static func print(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }

    static func error(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    /// One object a line, keys sorted.
    static func json(_ object: [String: Any]) {
        guard
            let data = try? JSONSerialization.data(
                withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        else { return }
        print(String(decoding: data, as: UTF8.self))
    }

    static func write(_ text: String) {
        FileHandle.standardOutput.write(Data(text.utf8))
    }

    /// The terminal's width in characters.
    static var width: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }
}

/// A progress line on standard error: renewed in place on a terminal, once a second elsewhere.
final class ProgressLine: @unchecked Sendable {
    // Guarded by the lock.
    private let lock = NSLock()
    private var last = Date.distantPast
    private var isOpen = false

    func show(_ text: String) {
        lock.withLock {
            let now = Date()
            guard now.timeIntervalSince(last) >= (Terminal.isInteractive ? 0.1 : 1) else { return }
            last = now
            if Terminal.isInteractive {
                FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
                isOpen = true
            } else {
                Terminal.error(text)
            }
        }
    }

    /// Ends the line, so that what follows begins on a new one.
    func finish() {
        lock.withLock {
            if isOpen { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
            isOpen = false
        }
    }
}

/// Such as `[##########..........] 50 %`.
func progressBar(_ done: Int, of all: Int, width: Int = 30) -> String {
    let share = all > 0 ? min(1, Double(done) / Double(all)) : 0
    let filled = Int((share * Double(width)).rounded(.down))
    return "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled) + "] "
        + "\(Int((share * 100).rounded(.down))) %"
}
