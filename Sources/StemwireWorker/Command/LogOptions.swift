import ArgumentParser
import Logging

/// How a program logs: to standard error, as text or as one JSON object a line.
public struct LogOptions: ParsableArguments, Sendable {
    public enum Format: String, ExpressibleByArgument, CaseIterable, Sendable { case text, json }

    @Option(help: "trace, debug, info, notice, warning, error.") public var logLevel = Logger.Level.notice
    @Option(help: "text, or json: one object a line with time, level, message and its fields.") public var logFormat =
        Format.text

    public init() {}

    /// A logger that writes to standard error.
    public func logger(_ label: String = "stemwire") -> Logger {
        var logger = Logger(label: label) { [logFormat] label in
            switch logFormat {
            case .text: StreamLogHandler.standardError(label: label)
            case .json: JSONLogHandler(label: label)
            }
        }
        logger.logLevel = logLevel
        return logger
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
