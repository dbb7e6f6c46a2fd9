import TOMLKit

/// Settings in a TOML file: a table for each command; what stands before the tables is for all commands that have the option.
///
/// ```toml
/// log-level = "info"
///
/// [serve]
/// source = "merlin://merlin-pc"
/// bind = "0.0.0.0"
/// udf = ["sum", "bf=disk:r=20"]
/// nav-shape = [256, 256]
/// ```
struct SettingsFile {
    struct Entry {
        let option: String
        let values: [String]
        /// A flag that is switched off.
        let isOff: Bool
        let origin: String
    }

    private var general: [Entry] = []
    private var ofCommand: [String: [Entry]] = [:]

    /// - Throws: `CommandFailure` for a file that cannot be read, an option or a command that there is not.
    init(_ path: String, _ catalogue: OptionCatalogue) throws {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw CommandFailure.usage("--config: \(path) cannot be read: \(error.localizedDescription)")
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw CommandFailure.usage(
                "--config: \(path), line \(error.source.begin.line), column \(error.source.begin.column): \(error.description)"
            )
        }
        for (key, value) in table {
            if let commandTable = value.table {
                guard let options = catalogue.options(of: key) else {
                    throw CommandFailure.usage(
                        "--config: \(path): there is no command [\(key)]; there are \(catalogue.names.joined(separator: ", "))"
                    )
                }
                for (name, value) in commandTable {
                    guard options.contains(where: { $0.name == name }) else {
                        throw Self.unknown(name, "[\(key)] has no setting “\(name)”", path, options.map(\.name))
                    }
                    ofCommand[key, default: []].append(try Self.entry(name, value.tomlValue, "\(path) [\(key)]"))
                }
            } else {
                guard catalogue.isOption(key) else {
                    throw Self.unknown(key, "no command has a setting “\(key)”", path, [])
                }
                general.append(try Self.entry(key, value.tomlValue, path))
            }
        }
    }

    /// What the file says of a command's option.
    func entry(_ option: String, of command: String) -> Entry? {
        ofCommand[command]?.first { $0.option == option } ?? general.first { $0.option == option }
    }

    private static func unknown(_ name: String, _ what: String, _ path: String, _ known: [String]) -> CommandFailure {
        let near = known.filter { $0.hasPrefix(name.prefix(3)) || name.hasPrefix($0.prefix(3)) }
        let advice = near.isEmpty ? "" : "; is it \(near.joined(separator: " or "))?"
        return .usage("--config: \(path): \(what)\(advice)")
    }

    private static func entry(_ name: String, _ value: TOMLValue, _ origin: String) throws -> Entry {
        if let flag = value.bool { return Entry(option: name, values: [], isOff: !flag, origin: origin) }
        let values = try (value.array.map { array in array.map(\.tomlValue) } ?? [value]).map { value in
            if let text = value.string { return text }
            if let number = value.int { return String(number) }
            if let number = value.double { return String(number) }
            throw CommandFailure.usage(
                "--config: \(origin): \(name) is no text, number, true or false, or list of these")
        }
        return Entry(option: name, values: values, isOff: false, origin: origin)
    }
}
