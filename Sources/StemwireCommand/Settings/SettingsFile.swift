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
                try add(commandTable, of: key, path, catalogue)
            } else {
                guard catalogue.isOption(key) else {
                    throw Self.unknown(key, "no command has a setting “\(key)”", path, [])
                }
                general.append(try Self.entry(key, value.tomlValue, path))
            }
        }
    }

    /// - Parameter command: by its words, as the catalogue knows it; in the file there are dots between them.
    private mutating func add(
        _ table: TOMLTable, of command: String, _ path: String, _ catalogue: OptionCatalogue
    ) throws {
        let title = "[\(command.replacing(" ", with: "."))]"
        guard let options = catalogue.options(of: command) else {
            let known = catalogue.names.map { $0.replacing(" ", with: ".") }.joined(separator: ", ")
            throw CommandFailure.usage("--config: \(path): there is no command \(title); there are \(known)")
        }
        for (name, value) in table {
            if let below = value.table, catalogue.options(of: "\(command) \(name)") != nil {
                try add(below, of: "\(command) \(name)", path, catalogue)
                continue
            }
            guard options.contains(where: { $0.name == name }) else {
                throw Self.unknown(name, "\(title) has no setting “\(name)”", path, options.map(\.name))
            }
            ofCommand[command, default: []].append(try Self.entry(name, value.tomlValue, "\(path) \(title)"))
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
