import Foundation

/// Output: the table on standard output, everything else on standard error.
enum Console {
    static func error(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

    static func line(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

    static func exit(_ code: Int32) -> Never { Foundation.exit(code) }

    /// Ends the program after so many seconds, if it has not ended by itself.
    static func exit(_ code: Int32, after seconds: Double, _ reason: String) {
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: seconds)
            error(reason)
            exit(code)
        }
    }
}
