import ArgumentParser
import Foundation

/// Where settings come from: a flag, else the environment, else a file, else the default. All of them go through the same
/// parser, so that a value is checked in the same way wherever it stands.
struct Settings {
    struct Value {
        let name: String
        let text: String
        let origin: String
    }

    /// Options that say where settings come from, or whose variable a command reads itself.
    private static let ownAffairs: Set = ["config", "print-config", "token"]

    /// The command line as if all that was set elsewhere had been given on it.
    let arguments: [String]
    let values: [Value]
    let printsConfiguration: Bool

    /// - Throws: `CommandFailure` for a file that does not fit.
    init(_ arguments: [String], environment: [String: String]) throws {
        let catalogue = try OptionCatalogue()
        let words = catalogue.commandWords(of: arguments)
        let command = arguments[..<words].joined(separator: " ")
        guard let options = catalogue.options(of: command) else {
            (self.arguments, values, printsConfiguration) = (arguments, [], false)
            return
        }
        let given = Array(arguments.dropFirst(words).prefix { $0 != "--" })
        let path = Self.found("config", .value, in: given)?.last ?? environment["STEMWIRE_CONFIG"]
        let hasFile = options.contains { $0.name == "config" }
        let file = hasFile ? try path.map { try SettingsFile($0, catalogue) } : nil
        var added: [String] = []
        var values: [Value] = []
        for option in options where !Self.ownAffairs.contains(option.name) {
            if let found = Self.found(option.name, option.kind, in: given) {
                values.append(Value(name: option.name, text: found.joined(separator: " "), origin: "command line"))
                continue
            }
            if let text = environment[option.environmentName], !text.isEmpty {
                added += Self.arguments(
                    option, option.kind == .values ? text.split(separator: " ").map(String.init) : [text])
                values.append(Value(name: option.name, text: text, origin: "environment \(option.environmentName)"))
                continue
            }
            if let entry = file?.entry(option.name, of: command) {
                if !entry.isOff { added += Self.arguments(option, entry.values.isEmpty ? ["true"] : entry.values) }
                let text = entry.values.isEmpty ? String(!entry.isOff) : entry.values.joined(separator: " ")
                values.append(Value(name: option.name, text: text, origin: entry.origin))
                continue
            }
            let text = option.kind == .flag ? "false" : option.defaultValue ?? ""
            values.append(Value(name: option.name, text: text, origin: "default"))
        }
        self.values = values
        self.arguments = Array(arguments[..<words]) + added + arguments[words...]
        printsConfiguration = Self.found("print-config", .flag, in: given) != nil
    }

    /// What a command line says of an option; nil when nothing.
    private static func found(_ name: String, _ kind: OptionCatalogue.Option.Kind, in arguments: [String]) -> [String]?
    {
        var values: [String]?
        for (index, argument) in arguments.enumerated() {
            if argument == "--\(name)" {
                let value = kind == .flag ? "true" : index + 1 < arguments.count ? arguments[index + 1] : ""
                values = (values ?? []) + [value]
            } else if argument.hasPrefix("--\(name)=") {
                values = (values ?? []) + [String(argument.dropFirst(name.count + 3))]
            }
        }
        return values
    }

    private static func arguments(_ option: OptionCatalogue.Option, _ values: [String]) -> [String] {
        switch option.kind {
        case .flag: ["1", "true", "yes", "on"].contains(values.first?.lowercased()) ? ["--\(option.name)"] : []
        case .value: ["--\(option.name)=\(values.joined(separator: ","))"]
        case .values: values.map { "--\(option.name)=\($0)" }
        }
    }

    /// Shows each setting with its origin.
    func show() {
        if given("json") {
            for value in values { Terminal.json(["name": value.name, "value": value.text, "origin": value.origin]) }
            return
        }
        let width = values.map { $0.name.count + $0.text.count + 5 }.filter { $0 < 60 }.max() ?? 0
        for value in values {
            let line = "\(value.name) = \"\(value.text)\""
            Terminal.print(
                line.padding(toLength: max(line.count, width), withPad: " ", startingAt: 0) + "  # \(value.origin)")
        }
    }

    private func given(_ name: String) -> Bool { values.contains { $0.name == name && $0.text == "true" } }
}

/// The options by which a command takes settings from elsewhere.
struct SettingsOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "TOML file with settings: a table [serve], [relay], [adapt.mpx] … with the options' long names as keys. Default: STEMWIRE_CONFIG.",
            valueName: "FILE"))
    var config: String?
    @Flag(
        help: "Show each setting with where it comes from (command line, STEMWIRE_… variable, file, default), and end.")
    var printConfig = false
}
