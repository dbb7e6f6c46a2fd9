import Glibc
import Logging
import StemwireSystem
import StemwireUDF

/// Writes log lines as JSON objects to standard error: `time` (seconds since 1970), `level`, `label`, `message`, and the fields
/// under their own names.
struct JSONLogHandler: LogHandler {
    let label: String
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()

    init(label: String) { self.label = label }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line: [String: ParameterValue] = [:]
        for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }) {
            line[key] = Self.value(value)
        }
        line["time"] = .number(Double(WallClock.nanoseconds()) / 1e9)
        line["level"] = .text(event.level.rawValue)
        line["label"] = .text(label)
        line["message"] = .text(event.message.description)
        // One write, so that lines stay whole.
        let bytes = Array((ParameterValue.object(line).json + "\n").utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }

    private static func value(_ value: Logger.MetadataValue) -> ParameterValue {
        switch value {
        case .string(let text): .text(text)
        case .stringConvertible(let value): .text(value.description)
        case .array(let values): .list(values.map(Self.value))
        case .dictionary(let values): .object(values.mapValues(Self.value))
        }
    }
}
