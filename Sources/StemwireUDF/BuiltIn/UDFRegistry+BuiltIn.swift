extension UDFRegistry {
    /// The UDFs that every server and worker has.
    public static let builtIn: UDFRegistry = {
        var registry = UDFRegistry()
        registry.addBuiltIn(SumUDF.self)
        registry.addBuiltIn(SumSigUDF.self)
        registry.addBuiltIn(MaxUDF.self)
        registry.addBuiltIn(MonitorUDF.self)
        registry.addBuiltIn(DiskUDF.self)
        registry.addBuiltIn(RingUDF.self)
        registry.addBuiltIn(PointUDF.self)
        registry.addBuiltIn(RectangleUDF.self)
        registry.addBuiltIn(CentreOfMassUDF.self)
        registry.addBuiltIn(GuessCorrectionsUDF.self)
        registry.addBuiltIn(StandardDeviationUDF.self)
        registry.addBuiltIn(LogSumUDF.self)
        registry.addBuiltIn(PickUDF.self)
        registry.addBuiltIn(PartitionMonitorUDF.self)
        registry.addBuiltIn(MasksUDF.self)
        registry.addBuiltIn(RadialFourierUDF.self)
        registry.addBuiltIn(FluctuationUDF.self)
        registry.addBuiltIn(CrystallinityUDF.self)
        registry.addBuiltIn(RecordUDF.self)
        registry.addBuiltIn(SideBandUDF.self)
        return registry
    }()

    private mutating func addBuiltIn(_ type: (some UDF).Type) {
        do {
            try add(type)
        } catch {
            preconditionFailure("\(error)")
        }
    }
}
